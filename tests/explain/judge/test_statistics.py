"""What known judges come to, by hand; intervals hold the truth as often as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import expit

from raypipe.explain.judge.statistics import JudgeTally, tallies_of
from raypipe.explain.judge.table import win_rates_table
from raypipe.explain.judge.verdicts import JudgedPair, Verdict

SIDES: tuple[Verdict, Verdict] = ("A", "B")


def pair(number: int, first_as_a: Verdict | None, second_as_a: Verdict | None) -> JudgedPair:
    label = "anger" if number % 2 else "fear"
    return JudgedPair(f"s{number % 11}", label, f"u{number}", first_as_a, second_as_a)


def overall(pairs: list[JudgedPair], **settings: int) -> JudgeTally:
    return tallies_of(pairs, **settings)[0]


def test_a_judge_that_always_says_a() -> None:
    tally = overall([pair(number, "A", "A") for number in range(50)])
    for estimate, value in (
        (tally.win_rate, 0.5),
        (tally.position_bias, 0.5),
        (tally.inconsistency, 1.0),
    ):
        assert (estimate.value, estimate.low, estimate.high) == (value, value, value)
    assert (tally.wins, tally.losses, tally.ties, tally.inconsistent) == (0, 0, 0, 50)


def test_a_judge_that_knows_what_it_wants() -> None:
    pairs = [pair(number, "A", "B") for number in range(30)]
    pairs += [pair(number, "B", "A") for number in range(30, 40)]
    pairs += [pair(number, "tie", "tie") for number in range(40, 44)]
    tally = overall(pairs)
    assert tally.win_rate.value == pytest.approx((30 + 2) / 44)
    assert tally.win_rate.low < 32 / 44 < tally.win_rate.high
    assert (tally.position_bias.value, tally.inconsistency.value) == (0.0, 0.0)
    assert tally.position_bias.low == tally.position_bias.high == 0.0


def test_what_cannot_be_read_is_counted_and_left_out() -> None:
    pairs = [pair(0, "A", "B"), pair(1, None, "A"), pair(2, None, None), pair(3, "tie", "A")]
    tally = overall(pairs)
    assert (tally.pairs, tally.decided, tally.invalid) == (4, 2, 3)
    assert tally.win_rate.value == pytest.approx(0.75)
    assert tally.inconsistency.value == pytest.approx(0.5)
    # A, B, A, tie, A: three and a half of five.
    assert tally.position_bias.value == pytest.approx(3.5 / 5 - 0.5)
    nothing = overall([pair(0, None, None)])
    assert math.isnan(nothing.win_rate.value)
    assert math.isnan(overall([]).win_rate.low)
    rows = win_rates_table([tally, nothing], ("one", "two")).to_pylist()
    assert rows[0]["win_rate"] == pytest.approx(0.75)
    assert rows[0]["inconsistency_high"] is None  # of four speakers there is no interval
    assert rows[1]["win_rate"] is rows[1]["position_bias_low"] is None


def test_labels_stand_by_themselves_and_speakers_may_be_unknown() -> None:
    pairs = [
        JudgedPair(None, label, f"u{at}", "A", "B")
        for at in range(4)
        for label in ("fear", "anger")
    ]
    tallies = tallies_of(pairs)
    assert [(tally.group, tally.pairs) for tally in tallies] == [
        ("overall", 8),
        ("anger", 4),
        ("fear", 4),
    ]


def drawn(rng: np.random.Generator, bias: float, spread: float) -> list[JudgedPair]:
    """Verdicts of 40 speakers, 6 pairs each: a taste for the first system and one for side A."""
    taste = 0.6 + spread * rng.normal(size=40)
    pairs = []
    for number in range(240):
        speaker = number % 40
        as_a, as_b = expit(taste[speaker] + bias), expit(-taste[speaker] + bias)
        first, second = (SIDES[int(rng.random() >= chance)] for chance in (as_a, as_b))
        pairs.append(JudgedPair(f"s{speaker}", "anger", f"u{number}", first, second))
    return pairs


@pytest.mark.parametrize(("bias", "spread"), [(0.0, 0.0), (0.0, 1.2), (0.8, 1.2)])
def test_intervals_hold_the_truth_in_about_95_of_100(bias: float, spread: float) -> None:
    rng = np.random.default_rng(11)
    tastes = 0.6 + spread * rng.normal(size=400_000)
    as_a, as_b = expit(tastes + bias), expit(-tastes + bias)
    truths = {
        "win_rate": ((as_a + 1 - as_b) / 2).mean(),
        "position_bias": ((as_a + as_b) / 2).mean() - 0.5,
        "inconsistency": (as_a * as_b + (1 - as_a) * (1 - as_b)).mean(),
    }
    studies = 200
    held = dict.fromkeys(truths, 0)
    for study in range(studies):
        tally = overall(drawn(rng, bias, spread), replicates=300, seed=study)
        for name, truth in truths.items():
            estimate = getattr(tally, name)
            held[name] += estimate.low <= truth <= estimate.high
    for name, count in held.items():
        assert 0.90 <= count / studies <= 0.99, name


def test_a_judge_that_answers_at_random_is_a_half_within_its_interval() -> None:
    rng = np.random.default_rng(0)
    halves, biases = 0, 0
    for study in range(100):
        pairs = [
            pair(number, SIDES[int(rng.integers(2))], SIDES[int(rng.integers(2))])
            for number in range(300)
        ]
        spread = [
            JudgedPair(f"s{at % 60}", row.label, row.utterance_id, row.first_as_a, row.second_as_a)
            for at, row in enumerate(pairs)
        ]
        tally = overall(spread, replicates=300, seed=study)
        halves += tally.win_rate.low <= 0.5 <= tally.win_rate.high
        biases += tally.position_bias.low <= 0 <= tally.position_bias.high
        assert 0.3 < tally.inconsistency.value < 0.7
    assert halves >= 89
    assert biases >= 89
