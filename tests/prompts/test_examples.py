"""A file of examples is right as a whole, or refused by line, field and value."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raypipe.audio import decode
from raypipe.descriptors import describe
from raypipe.errors import ConfigError
from raypipe.labels import LabelSet
from raypipe.prompts.examples import Example, read_examples
from raypipe.records import Descriptors

LABELS = LabelSet(("anger", "neutral", "sadness"))
GOOD = {"transcript": "Yes.", "answer": {"anger": 1}}
NUMBERS = {"duration_s": 2.0, "speech_s": 1.5}


def measure(audio: bytes) -> Descriptors:
    return describe(decode(audio, sampling_rate=16_000), 16_000)


def read(folder: Path, *lines: Any) -> tuple[Example, ...]:
    path = folder / "few.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts) + "\n")
    return read_examples(path, LABELS, measure)


def test_answers_are_shares_of_every_label_in_order(tmp_path: Path) -> None:
    first, second = read(tmp_path, {**GOOD, "answer": {"Sad": 3, "angry": 1}}, "", GOOD)
    assert first.answer == (("anger", 0.25), ("neutral", 0.0), ("sadness", 0.75))
    assert json.loads(first.answer_text) == {"anger": 0.25, "neutral": 0.0, "sadness": 0.75}
    assert second.answer_text == '{"anger": 1.0, "neutral": 0.0, "sadness": 0.0}'


def test_a_clip_is_measured_and_numbers_are_taken(
    tmp_path: Path, encode: Callable[..., bytes], tone: Callable[..., Any]
) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips/a.wav").write_bytes(encode(tone(0.5, frequency=200.0)))
    pitch = {"pitch_low_hz": 100.0, "pitch_mean_hz": 120.0, "pitch_high_hz": 150.0}
    heard, told, words = read(
        tmp_path,
        {"audio": "clips/a.wav", "answer": {"anger": 1}},
        {"descriptors": {**NUMBERS, **pitch}, "context": ["So?"], "answer": {"anger": 1}},
        GOOD,
    )
    assert heard.descriptors is not None
    assert heard.descriptors.pitch_mean_hz == pytest.approx(200, rel=0.012)
    assert told.descriptors == Descriptors(2.0, 1.5, 120.0, 100.0, 150.0, None, None, None, 0, 0.0)
    assert told.context == ("So?",)
    assert words.descriptors is None


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("{", "line 2: is not JSON"),
        ("[1]", "line 2: holds list"),
        ({"transcript": "x"}, "line 2: answer: missing"),
        ({**GOOD, "emotion": "sad"}, "line 2: emotion: unknown key"),
        ({"answer": {"anger": 1}}, "line 2: .*needs a transcript, audio or descriptors"),
        ({**GOOD, "answer": {"joy": 1}}, "line 2: answer: 'joy' is none of anger, neutral"),
        ({**GOOD, "answer": {"anger": -1}}, "line 2: answer.anger: .*got -1"),
        ({**GOOD, "answer": {"anger": "much"}}, "line 2: answer.anger: .*got 'much'"),
        ({**GOOD, "answer": {"anger": 0}}, "line 2: answer: no label has a share"),
        ({**GOOD, "answer": {}}, "line 2: answer: no label has a share"),
        ({**GOOD, "answer": {"sad": 1, "sadness": 1}}, "'sad' and 'sadness' are one label"),
        ('{"transcript": "x", "answer": {"anger": NaN}}', "line 2: answer.anger: .*finite"),
        ({**GOOD, "audio": "none.wav"}, "line 2: audio: 'none.wav': No such file"),
        ({**GOOD, "audio": "few.jsonl"}, "line 2: audio: 'few.jsonl': "),
        ({**GOOD, "audio": "a.wav", "descriptors": NUMBERS}, "audio or descriptors, not both"),
        ({**GOOD, "descriptors": {"speech_s": 1}}, "line 2: descriptors.duration_s: missing"),
        ({**GOOD, "descriptors": {**NUMBERS, "f0": 1}}, "line 2: descriptors.f0: unknown key"),
        (
            {**GOOD, "descriptors": {**NUMBERS, "pitch_mean_hz": 100.0}},
            "line 2: descriptors: .*pitch_low_hz",
        ),
    ],
)
def test_a_line_that_cannot_be_shown_is_named(tmp_path: Path, bad: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=rf"few\.jsonl (line 2: .*)?{words}"):
        read(tmp_path, GOOD, bad)


def test_a_file_without_examples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"few\.jsonl: holds no example"):
        read(tmp_path)
    with pytest.raises(ConfigError, match=r"gone\.jsonl: cannot be read: No such file"):
        read_examples(tmp_path / "gone.jsonl", LABELS, measure)
    (tmp_path / "latin.jsonl").write_bytes(b'{"transcript": "\xe9"}')
    with pytest.raises(ConfigError, match=r"latin\.jsonl: is not UTF-8"):
        read_examples(tmp_path / "latin.jsonl", LABELS, measure)
