import numpy as np
import pytest

from raypipe.metrics import exact
from raypipe.metrics.exact import (
    BLOCK,
    LIMIT,
    SCALE,
    ValueCounts,
    merge_counts,
    to_units,
    weighted_sums,
)

RNG = np.random.default_rng(6)


def test_units_are_exact_to_half_a_step() -> None:
    values = RNG.uniform(-20.0, 20.0, 1000)
    assert np.abs(to_units(values) / SCALE - values).max() <= 0.5 / SCALE
    assert to_units(np.array([np.nan, -1e9])).tolist() == [0.0, -LIMIT * SCALE]


def test_the_largest_block_is_summed_without_rounding() -> None:
    units = to_units(np.full((BLOCK, 1), LIMIT)) - RNG.integers(0, 3, (BLOCK, 1))
    weights = RNG.integers(0, 17, (3, BLOCK)).astype(float)
    expected = [
        [sum(int(w) * int(u) for w, u in zip(row, units[:, 0], strict=True))] for row in weights
    ]
    assert weighted_sums(weights, units).tolist() == expected
    with pytest.raises(ValueError, match="at most"):
        weighted_sums(np.ones((1, BLOCK + 1)), np.ones((BLOCK + 1, 1)))


def test_value_counts_are_exact_while_values_are_few() -> None:
    values, classes = np.round(RNG.random(5000), 3), RNG.integers(0, 2, 5000)
    counts = ValueCounts.of(values, classes, 2)
    assert counts.level == 0
    unique, index = np.unique(values, return_inverse=True)
    np.testing.assert_allclose(counts.values(), unique, atol=1e-9)
    np.testing.assert_array_equal(counts.counts[:, 1], np.bincount(index, weights=classes))


@pytest.mark.parametrize("size", [1, 2, 999, 1000])
def test_the_median_agrees_with_numpy(size: int) -> None:
    values = RNG.random(size)
    median, low, high = ValueCounts.of(values, np.zeros(size, dtype=int), 1).median()
    assert median == pytest.approx(np.median(values), abs=1e-9)
    assert low <= median <= high


def test_the_median_interval_agrees_with_resampling() -> None:
    values = RNG.gamma(2.0, 0.1, 1500)
    _, low, high = ValueCounts.of(values, np.zeros(1500, dtype=int), 1).median()
    medians = [np.median(values[RNG.integers(0, 1500, 1500)]) for _ in range(2000)]
    expected = np.percentile(medians, [2.5, 97.5])
    np.testing.assert_allclose([low, high], expected, atol=0.2 * (expected[1] - expected[0]))


def test_no_values_have_no_median() -> None:
    empty = ValueCounts.of(np.zeros(0), np.zeros(0, dtype=int), 1)
    assert np.isnan(empty.median()).all()


def test_merging_is_order_free_also_when_cells_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "_MOST_VALUES", 100)
    values, classes = RNG.random(3000), RNG.integers(0, 2, 3000)
    parts = [
        ValueCounts.of(values[rows], classes[rows], 2) for rows in np.split(np.arange(3000), 20)
    ]
    whole = ValueCounts.of(values, classes, 2)
    assert 0 < whole.cells.size <= 100
    for order in (range(20), reversed(range(20)), RNG.permutation(20)):
        merged = merge_counts(parts[place] for place in order)
        assert merged.level == whole.level
        np.testing.assert_array_equal(merged.cells, whole.cells)
        np.testing.assert_array_equal(merged.counts, whole.counts)
    assert whole.median()[0] == pytest.approx(np.median(values), abs=2 / 50)
