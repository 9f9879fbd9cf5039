"""Quantiles and histograms against numpy's."""

from __future__ import annotations

import numpy as np
import pytest

from raypipe.reporting.corpus.values import RepeatedValues, even_edges


def filled(values: np.ndarray) -> RepeatedValues:
    made = RepeatedValues()
    for value in values.tolist():
        made.add(value)
    return made


@pytest.mark.parametrize("n", [1, 2, 3, 10, 101, 1000])
def test_the_spread_is_numpy_s(n: int) -> None:
    values = np.random.default_rng(n).integers(0, 12, n) / 4
    spread = filled(values).spread()
    assert spread is not None
    found = (spread.minimum, spread.q25, spread.median, spread.q75, spread.maximum)
    assert found == pytest.approx(np.quantile(values, [0, 0.25, 0.5, 0.75, 1]))
    assert (spread.n, spread.mean) == (n, pytest.approx(values.mean()))
    assert spread.std == (pytest.approx(values.std(ddof=1)) if n > 1 else None)


def test_without_values_there_is_no_spread() -> None:
    assert RepeatedValues().spread() is None
    assert RepeatedValues().equal_count(5) == ()
    assert [one.utterances for one in RepeatedValues().histogram(np.array([0.0, 1.0]))] == [0]


def test_the_histogram_is_numpy_s() -> None:
    values = np.random.default_rng(1).integers(0, 21, 500) / 10
    edges = np.linspace(0, 2, 11)
    # numpy's own edges and these tenths differ in the last bit: move the values inside their bins.
    expected = np.histogram(values + 1e-12, edges)[0]
    expected[-1] += (values == 2.0).sum()
    found = filled(values).histogram(edges)
    assert [one.utterances for one in found] == expected.tolist()
    assert sum(one.utterances for one in found) == 500


def test_values_beyond_the_edges_are_left_out() -> None:
    found = filled(np.array([-1.0, 0.0, 0.5, 1.0, 1.1])).histogram(np.array([0.0, 0.5, 1.0]))
    assert [one.utterances for one in found] == [1, 2]


def test_steps_take_their_upper_end() -> None:
    found = filled(np.array([0.0, 1e-12, 0.2, 0.5, 0.5 + 1e-12, 0.6, 1.0])).steps(
        np.array([0.0, 0.5, 1.0])
    )
    assert [(one.low, one.high, one.utterances) for one in found] == [
        (0.0, 0.0, 2),
        (0.0, 0.5, 3),
        (0.5, 1.0, 2),
    ]


def test_equal_counts_differ_by_one_at_most() -> None:
    values = np.repeat([0.0, 0.9, 1.6], [7, 2, 3])
    bins = filled(values).equal_count(5)
    parts = np.split(values, [len(values) * at // 5 for at in range(1, 5)])
    assert [(one.low, one.high, one.utterances) for one in bins] == [
        (part[0], part[-1], len(part)) for part in parts
    ]
    assert [one.utterances for one in filled(np.array([0.3])).equal_count(5)] == [1]


@pytest.mark.parametrize(
    ("low", "high"), [(2.0, 2.0), (0.0, 0.0), (1.27, 5.01), (0.004, 30.0), (599.9, 3600.0)]
)
def test_even_edges_hold_everything_in_few_round_bins(low: float, high: float) -> None:
    edges = even_edges(low, high, 24)
    assert edges[0] <= low
    assert edges[-1] >= high
    assert 1 <= len(edges) - 1 <= 24
    assert np.allclose(np.diff(edges), edges[1] - edges[0])


def test_equal_values_have_one_bin_of_a_readable_width() -> None:
    assert even_edges(2.25, 2.25, 24).tolist() == [2.0, 3.0]
