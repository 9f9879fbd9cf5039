import numpy as np
import pytest
from scipy import stats

from raypipe.metrics.bootstrap import id_hashes, interval, intervals, poisson_weights

IDS = [f"utterance {number}" for number in range(2000)]


def splitmix64_weight(utterance_id: str, replicate: int, seed: int) -> int:
    """The definition in plain Python integers."""
    mask = 2**64 - 1

    def mix(word: int) -> int:
        word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & mask
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & mask
        return word ^ (word >> 31)

    stream = mix(int(id_hashes([utterance_id])[0]) ^ mix(seed))
    uniform = mix((stream + (replicate + 1) * 0x9E3779B97F4A7C15) & mask) / 2**64
    return int(stats.poisson.ppf(uniform, 1.0))


def test_weights_follow_their_definition() -> None:
    weights = poisson_weights(IDS[:40], replicates=50, seed=9)
    expected = [[splitmix64_weight(name, r, 9) for r in range(50)] for name in IDS[:40]]
    np.testing.assert_array_equal(weights, expected)


def test_weights_are_poisson_with_mean_1() -> None:
    weights = poisson_weights(IDS, replicates=500)
    observed = np.bincount(weights.ravel(), minlength=8)
    observed = np.append(observed[:7], observed[7:].sum())
    expected = np.append(stats.poisson.pmf(np.arange(7), 1.0), stats.poisson.sf(6, 1.0))
    assert stats.chisquare(observed, expected * weights.size).pvalue > 1e-3
    assert weights.dtype == np.uint8


def test_weights_are_uncorrelated_over_rows_and_over_replicates() -> None:
    weights = poisson_weights(IDS[:300], replicates=300).astype(float)
    for matrix in (weights, weights.T):
        correlations = np.corrcoef(matrix)[np.triu_indices(300, 1)]
        assert abs(correlations.mean()) < 5e-3
        assert correlations.std() == pytest.approx(1 / np.sqrt(300), rel=0.05)


def test_weights_depend_on_seed_and_id_and_on_nothing_else() -> None:
    weights = poisson_weights(IDS, replicates=20, seed=1)
    order = np.random.default_rng(0).permutation(len(IDS))
    shuffled = poisson_weights([IDS[place] for place in order], replicates=20, seed=1)
    np.testing.assert_array_equal(shuffled, weights[order])
    longer = poisson_weights(IDS, replicates=35, seed=1)
    np.testing.assert_array_equal(longer[:, :20], weights)
    assert (poisson_weights(IDS, replicates=20, seed=2) != weights).mean() > 0.5


def test_the_interval_agrees_with_a_plain_bootstrap() -> None:
    rng = np.random.default_rng(3)
    values = rng.gamma(2.0, 0.1, size=2000)
    weights = poisson_weights(IDS, replicates=2000).astype(float)
    low, high = interval(values @ weights / weights.sum(axis=0))
    plain = [values[rng.integers(0, 2000, 2000)].mean() for _ in range(2000)]
    width = np.percentile(plain, 97.5) - np.percentile(plain, 2.5)
    np.testing.assert_allclose([low, high], np.percentile(plain, [2.5, 97.5]), atol=0.08 * width)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(8)
    covered = 0
    for trial in range(400):
        values = rng.exponential(1.0, size=150)
        ids = [f"{trial}-{row}" for row in range(150)]
        weights = poisson_weights(ids, replicates=400).astype(float)
        low, high = interval(values @ weights / weights.sum(axis=0))
        covered += low <= 1.0 <= high
    assert 0.90 <= covered / 400 <= 0.98


def test_intervals_agree_with_numpy_and_leave_nan_out() -> None:
    values = np.random.default_rng(0).normal(size=(3, 101))
    values[1, ::3] = np.nan
    values[2] = np.nan
    ends = intervals(values, level=0.9)
    np.testing.assert_allclose(ends[:2], np.nanpercentile(values[:2], [5, 95], axis=1).T)
    assert np.isnan(ends[2]).all()
    with pytest.raises(ValueError, match="level"):
        interval(values[0], level=1.0)


def test_any_text_can_be_an_id() -> None:
    assert id_hashes(["", "é", "\ud800"]).size == 3
    assert id_hashes([]).size == 0
    assert poisson_weights([], replicates=5).shape == (0, 5)
