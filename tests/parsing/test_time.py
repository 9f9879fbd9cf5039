"""The time for an answer is linear in its length, whatever fills it and wherever the filler is."""

from __future__ import annotations

import time

import pytest

from raypipe.labels import LABEL_SETS
from raypipe.parsing import parse_answer, parse_score

LABELS = LABEL_SETS["crema-d-6"]

FILLERS = [
    *("\n", " \n", "\r\n", "\n- ", '\n* "', " ", "? ", ". ", ", ", "| ", "("),
    *("0.5 ", "not ", "a\n"),
]
MORE_FILLERS = [
    *("\n\n", "\n> ", "*\n", "\n#", "\t", "\\n", "?", "- ", "* ", ": ", "'", "~", "```", "</b>"),
    *("5% ", "1. ", "and ", "or ", "no ", "anger, ", "speaker 1: ", "score: ", "is ", "$ "),
]
PLACES = [
    "{filler}sad",
    "The voice is slow.{filler}anger: 50%, sadness: 50%",
    "anger: 50%, sadness: 50%{filler}slow voice",
    '{{"reason": "{filler}", "anger": 0.5, "sadness": 0.5}}',
    "sad{filler}",
]


@pytest.mark.parametrize(
    "filler",
    [*FILLERS, *(pytest.param(each, marks=pytest.mark.slow) for each in MORE_FILLERS)],
    ids=repr,
)
def test_a_filler_eight_times_as_long_takes_less_than_sixteen_times_as_long(filler: str) -> None:
    def seconds(place: str, characters: int) -> float:
        text = place.format(filler=filler * (characters // len(filler)))
        started = time.process_time()
        parse_answer(text, LABELS)
        parse_score(text)
        return time.process_time() - started

    def is_linear(place: str) -> bool:
        return seconds(place, 12_000) < 16.0 * seconds(place, 1_500) + 0.05

    for place in PLACES:
        # Tried again: a garbage collection of the whole suite may fall into one of the two.
        assert any(is_linear(place) for _ in range(3)), place
