"""The interval of the calibration error; its coverage is shown by tests/bench/bench_coverage.py."""

import numpy as np
import pytest
from tables_of_predictions import predictions_table

from raypipe.labels import LabelSet
from raypipe.metrics.calibration import (
    HIGH_TAIL,
    LOW_TAIL,
    debiased_error,
    error_interval,
    folded_mean,
)
from raypipe.metrics.reduce import CorpusSummary, MetricRow, MetricState

LABELS = LabelSet(("anger", "fear", "joy"))


def normal_noise(variances: np.ndarray, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, np.sqrt(variances), (20_000, variances.size))


def test_the_folded_mean_is_that_of_draws() -> None:
    draws = np.random.default_rng(1).normal(0.3, 0.5, 400_000)
    assert folded_mean(np.array([0.3]), np.array([0.5])) == pytest.approx(
        np.abs(draws).mean(), abs=0.003
    )


def test_an_error_far_from_zero_has_the_normal_interval_of_its_tails() -> None:
    gaps, variances = np.array([0.3, -0.2]), np.array([0.0004, 0.0005])
    low, high = error_interval(gaps, variances, normal_noise(variances))
    z_low, z_high = 1.9189, 2.1701  # of 2.75 and 1.5 %
    assert (LOW_TAIL, HIGH_TAIL) == (0.0275, 0.015)
    assert low == pytest.approx(0.5 - z_low * 0.03, abs=0.002)
    assert high == pytest.approx(0.5 + z_high * 0.03, abs=0.002)
    assert debiased_error(gaps, variances) == pytest.approx(0.5, abs=1e-9)


def test_gaps_that_are_noise_alone_give_an_interval_from_zero() -> None:
    variances = np.full(6, 0.0009)
    gaps = np.array([0.03, -0.02, 0.03, -0.03, 0.01, -0.02])
    low, high = error_interval(gaps, variances, normal_noise(variances))
    assert low == 0.0
    assert debiased_error(gaps, variances) < np.abs(gaps).sum() / 2 < high < 0.3


def test_no_gap_is_no_error() -> None:
    assert error_interval(np.zeros(3), np.zeros(3), np.zeros((10, 3))) == (0.0, 0.0)


def test_a_bin_whose_gaps_cancel_is_noisy_all_the_same() -> None:
    variances = np.array([0.0004, 0.0009])
    with_it = error_interval(np.array([0.3, 0.0]), variances, normal_noise(variances))
    without = error_interval(np.array([0.3]), variances[:1], normal_noise(variances)[:, :1])
    assert with_it[0] < without[0] - 0.01


def rows_of(count: int, excess: float) -> dict[str, MetricRow]:
    """Metrics of predictions that are right with a chance of their confidence less an excess."""
    rng = np.random.default_rng(count)
    confidence = rng.uniform(0.4, 0.95, count)
    predicted = rng.integers(0, 3, count)
    right = rng.random(count) < confidence - excess
    truth = np.where(right, predicted, (predicted + 1) % 3)
    probs = np.repeat((1 - confidence)[:, None] / 2, 3, axis=1)
    probs[np.arange(count), predicted] = confidence
    ids = [f"u{number}" for number in range(count)]
    table = predictions_table(ids, np.eye(3)[truth] * 5, {"greedy": probs}, LABELS)
    summary = CorpusSummary.from_table(table, LABELS)
    rows = MetricState.from_table(table, summary.frame, LABELS, replicates=400).finish()
    return {row.metric: row for row in rows if (row.strategy, row.slice) == ("greedy", "all")}


def test_an_interval_is_given_from_300_utterances_on_and_the_row_says_why_not_below() -> None:
    few, enough = rows_of(299, 0.0)["ece"], rows_of(300, 0.0)["ece"]
    assert few.value is not None
    assert (few.ci_low, few.ci_high) == (None, None)
    assert few.note is not None
    assert few.note.startswith("no interval below 300 utterances")
    assert enough.note is None
    assert enough.ci_low == 0.0 <= (enough.value or 0.0) < (enough.ci_high or 0.0)


def test_an_overconfident_strategy_s_interval_holds_its_error_and_not_zero() -> None:
    row = rows_of(600, 0.2)["ece"]
    assert row.ci_low is not None
    assert 0.1 < row.ci_low < 0.2 < (row.ci_high or 0.0) < 0.3
