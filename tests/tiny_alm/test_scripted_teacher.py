"""A stand-in teacher keeps the rules, and says what is measured whatever the label."""

from __future__ import annotations

import re

import numpy as np
import pytest

from raypipe.explain.rationale.draft import Draft
from raypipe.explain.rationale.rules import first_breach
from raypipe.records import Descriptors
from raypipe.tiny_alm.scripted_teacher import (
    LOUDNESSES,
    MOVEMENTS,
    PAUSES,
    PITCHES,
    TEMPOS,
    TRENDS,
    described_rationale,
    pitch_trend,
    quoted_words,
    scripted_rationale,
)
from raypipe.tiny_alm.spoken import LABEL_SET, PRONUNCIATIONS, sentence, spoken_clip
from raypipe.tiny_alm.synth import SAMPLING_RATE

FORM = re.compile(
    r'The words "[^"]+" say little\. The voice is (\w+), (\w+), (\w+), (\w+) and (\w+), '
    r"with (\w+) pauses\."
)


@pytest.mark.parametrize("index", range(6))
def test_what_it_writes_keeps_every_rule_for_every_label(index: int) -> None:
    samples, _ = spoken_clip(index, "train")
    transcript = sentence(index, "train")
    text = scripted_rationale(transcript, samples, SAMPLING_RATE)
    assert len(text.split()) <= 25
    assert quoted_words(transcript) in transcript
    assert all(word in PRONUNCIATIONS for word in quoted_words(transcript).split())
    for label in LABEL_SET.names:
        assert first_breach(Draft(text, label, transcript)) is None
    match = FORM.fullmatch(text)
    assert match is not None
    for word, words in zip(
        match.groups(), (PITCHES, TRENDS, MOVEMENTS, TEMPOS, LOUDNESSES, PAUSES), strict=True
    ):
        assert word in words


def test_each_word_follows_from_one_measurement() -> None:
    low = Descriptors(2.0, 1.5, 100.0, 95.0, 110.0, -30.0, 18.0, 2.5, 2, 0.8)
    high = Descriptors(2.0, 2.0, 300.0, 200.0, 420.0, -15.0, 18.0, 5.5, 0, 0.0)
    none = Descriptors(2.0, 2.0, None, None, None, None, None, None, 0, 0.0)
    texts = [
        described_rationale("Anna lost my ticket.", measured, trend)
        for measured, trend in ((low, -3.0), (high, 3.0), (none, None))
    ]
    voices = [text.partition("The voice is ")[2] for text in texts]
    assert voices == [
        "low, falling, flat, slow and soft, with many pauses.",
        "high, rising, lively, fast and loud, with few pauses.",
        "middle, level, varied, steady and medium, with few pauses.",
    ]


def test_the_trend_of_a_sweep_is_its_own() -> None:
    time_s = np.arange(2 * SAMPLING_RATE) / SAMPLING_RATE
    for first, last, sign in ((150, 250, 1), (250, 150, -1)):
        phase = 2 * np.pi * np.cumsum(np.linspace(first, last, len(time_s))) / SAMPLING_RATE
        trend = pitch_trend((0.3 * np.sin(phase)).astype(np.float32), SAMPLING_RATE)
        assert trend is not None
        assert np.sign(trend) == sign
    assert pitch_trend(np.zeros(100, np.float32), SAMPLING_RATE) is None
