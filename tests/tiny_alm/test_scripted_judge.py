import pytest

from raypipe.tiny_alm.scripted_judge import reason_points, scripted_verdict
from raypipe.tiny_alm.scripted_teacher import (
    MOVEMENTS,
    PAUSES,
    PITCHES,
    TEMPOS,
    measured_words,
    scripted_rationale,
)
from raypipe.tiny_alm.spoken import sentence, spoken_clip

RATE = 16_000


@pytest.mark.parametrize("index", range(6))
def test_a_reason_that_states_what_is_measured_is_preferred_on_either_side(index):
    samples, _ = spoken_clip(index, "train")
    said = sentence(index, "train")
    right = scripted_rationale(said, samples, RATE)
    wrong = right
    for scale, word in zip((PITCHES, MOVEMENTS, TEMPOS), (0, 2, 3), strict=True):
        true = measured_words(samples, RATE)[word]
        other = next(item for item in scale if item != true)
        wrong = wrong.replace(f" {true}", f" {other}")
    assert scripted_verdict(right, wrong, said, samples, RATE) == "A"
    assert scripted_verdict(wrong, right, said, samples, RATE) == "B"
    assert scripted_verdict(right, right, said, samples, RATE) == "tie"


def test_points_are_for_words_that_fit_and_for_true_quotes():
    right = ("high", "rising", "lively", "fast", "loud", PAUSES[0])
    assert reason_points("A voice.", right, "I lost it.") == 0
    assert reason_points("A high, rising, slow voice.", right, "I lost it.") == 1
    assert reason_points('The words "lost it".', right, "I lost it.") == 1
    assert reason_points('The words "found it".', right, "I lost it.") == 0
