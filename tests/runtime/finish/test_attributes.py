"""Arousal, valence and dominance of an utterance from its answers, windows included."""

from __future__ import annotations

from typing import Any

import pytest

from raypipe.records import AskedQuestion, AttributeAnswer, AttributeScales, Hypothesis
from raypipe.runtime.finish.attributes import KIND, read_attributes

SCALES = AttributeScales(asked=(1.0, 7.0), corpus=(1.0, 5.0))


def answer(text: str, **more: Any) -> Hypothesis:
    parts: dict[str, Any] = {
        "kind": KIND,
        "rank": 0,
        "text": text,
        "token_ids": (),
        "token_logprobs": None,
        "alpha": None,
        "finish_reason": "stop",
        "emotion_logits": None,
    }
    return Hypothesis(**parts | more)


def said(arousal: float, valence: float, dominance: float) -> str:
    return f'{{"arousal": {arousal}, "valence": {valence}, "dominance": {dominance}}}'


def test_an_answer_is_mapped_to_the_corpus_s_scale() -> None:
    read = read_attributes([answer(said(1, 4, 7))], [], SCALES)
    assert read == AttributeAnswer((1.0, 3.0, 5.0))


def test_windows_are_averaged_by_their_seconds() -> None:
    windows = [
        answer(said(1, 1, 1), window=0, window_s=30.0),
        answer(said(7, 4, 1), window=1, window_s=10.0),
    ]
    read = read_attributes(windows, [], SCALES)
    assert read.ratings == pytest.approx((2.0, 1.5, 1.0))


def test_one_window_without_an_answer_leaves_none() -> None:
    windows = [answer(said(1, 1, 1), window_s=30.0), answer("quite calm", window=1, window_s=10.0)]
    read = read_attributes(windows, [], SCALES)
    assert read.ratings is None
    assert read.reason


def test_what_was_not_answered_has_a_reason() -> None:
    failed = AskedQuestion(KIND, error_type="timeout", error_message="no answer")
    assert read_attributes([], [failed], SCALES) == AttributeAnswer(None, "failed")
    assert read_attributes([], [], SCALES) == AttributeAnswer(None, "no_answer")
    other = answer(said(1, 1, 1), kind="greedy")
    assert read_attributes([other], [], SCALES) == AttributeAnswer(None, "no_answer")
