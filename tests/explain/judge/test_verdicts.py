"""Verdicts are read strictly, and mean systems only together with the side."""

from __future__ import annotations

import pytest

from raypipe.errors import ConfigError
from raypipe.explain.judge.pairs import ReasonPair
from raypipe.explain.judge.verdicts import (
    JudgedPair,
    Verdict,
    judge_prompt,
    prompt_hash,
    read_verdict,
)
from raypipe.prompts import JUDGE, template_source

PAIR = ReasonPair("u1", "s1", "sadness", "Slow and low.", "Loud words.", first_is_a=True)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("A", "A"),
        (" b.\n", "B"),
        ("Tie", "tie"),
        ("**A**", "A"),
        ('"B"', "B"),
        ("[[A]]", "A"),
        ("Answer: tie", "tie"),
        ("Verdict: **B**", "B"),
        ("A names pitch and tempo, B does not.\n\nA", "A"),
        ("Both are vague.\nVerdict: tie.", "tie"),
        ("", None),
        ("A or B", None),
        ("A is better", None),
        ("I prefer reason A", None),
        ("A\nB", None),
        ("A\nbecause it names the pitch", None),
        ("C", None),
        ("AB", None),
        ("tied", None),
        ("Neither", None),
    ],
)
def test_a_verdict_is_one_word_or_the_last_line(text: str, verdict: Verdict | None) -> None:
    assert read_verdict(text) == verdict


@pytest.mark.parametrize(
    ("first_as_a", "second_as_a", "consistent", "win"),
    [
        ("A", "B", True, 1.0),
        ("B", "A", True, 0.0),
        ("tie", "tie", True, 0.5),
        ("A", "A", False, 0.5),
        ("B", "B", False, 0.5),
        ("A", "tie", False, 0.5),
        ("tie", "A", False, 0.5),
        (None, "A", None, None),
        ("tie", None, None, None),
    ],
)
def test_a_pair_counts_by_both_verdicts(
    first_as_a: Verdict | None,
    second_as_a: Verdict | None,
    consistent: bool | None,
    win: float | None,
) -> None:
    pair = JudgedPair("s", "anger", "u", first_as_a, second_as_a)
    assert (pair.is_consistent, pair.win) == (consistent, win)


def test_the_prompt_exchanges_sides_and_names_nobody() -> None:
    source = template_source(JUDGE)
    texts = [
        judge_prompt(source, PAIR, first_is_a=side, transcript=None, audio=False)
        for side in (True, False)
    ]
    assert "Reason A: Slow and low.\n\nReason B: Loud words." in texts[0]
    assert "Reason A: Loud words.\n\nReason B: Slow and low." in texts[1]
    for text in texts:
        assert "named the emotion: sad." in text
        assert "u1" not in text
        assert "s1" not in text
        assert "said:" not in text
    heard = judge_prompt(source, PAIR, first_is_a=True, transcript="Well.", audio=True)
    assert "recording, which you hear, too" in heard
    assert "What is said: Well." in heard
    assert prompt_hash(source, audio=True) != prompt_hash(source, audio=False)
    with pytest.raises(ConfigError, match="cannot be filled"):
        judge_prompt("{{ system }}", PAIR, first_is_a=True, transcript=None, audio=False)
