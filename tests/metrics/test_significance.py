from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from raypipe.metrics.bootstrap import poisson_weights
from raypipe.metrics.significance import holm, p_value


@pytest.mark.parametrize("size", [1, 2, 5, 9])
def test_holm_is_the_closed_test_of_bonferroni(size: int) -> None:
    """A hypothesis is rejected if Bonferroni rejects every set of hypotheses that has it."""
    values = np.random.default_rng(size).uniform(0, 0.4, size).tolist()
    sets = [chosen for k in range(1, size + 1) for chosen in combinations(range(size), k)]
    expected = [
        max(
            min(1.0, len(chosen) * min(values[member] for member in chosen))
            for chosen in sets
            if index in chosen
        )
        for index in range(size)
    ]
    np.testing.assert_allclose(holm(values), expected, rtol=1e-12)


def test_what_is_not_known_is_not_counted() -> None:
    corrected = holm([0.02, math.nan, 0.01])
    assert corrected[0] == pytest.approx(0.02)
    assert math.isnan(corrected[1])
    assert corrected[2] == pytest.approx(0.02)
    assert holm([]) == []


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.3])
def test_the_p_value_of_a_mean_is_near_that_of_a_t_test(shift: float) -> None:
    values = np.random.default_rng(1).normal(shift, 1.0, 300)
    weights = poisson_weights([f"u{k}" for k in range(300)], 4000, seed=1).astype(float)
    replicates = weights.T @ values / weights.sum(axis=0)
    p = p_value(np.concatenate([[values.mean()], replicates]), 300)
    assert p == pytest.approx(ttest_1samp(values, 0.0).pvalue, abs=0.02)


def test_p_values_of_equal_systems_are_uniform() -> None:
    """Of 400 data sets without a difference about 5 % have a p-value below .05."""
    below = 0
    ids = [f"u{k}" for k in range(80)]
    weights = poisson_weights(ids, 300, seed=0).astype(float)
    for seed in range(400):
        values = np.random.default_rng(seed).normal(0.0, 1.0, 80)
        replicates = weights.T @ values / weights.sum(axis=0)
        below += p_value(np.concatenate([[values.mean()], replicates]), 80) < 0.05
    assert 8 <= below <= 34  # 20, and 3 standard errors of 4.4


def test_ends() -> None:
    assert p_value(np.zeros(5), 3) == 1.0
    assert p_value(np.array([0.1, 0.1, 0.1]), 3) == 0.0
    assert math.isnan(p_value(np.array([0.1]), 3))
    assert math.isnan(p_value(np.array([0.1, 0.2, 0.3]), 1))
    assert math.isnan(p_value(np.array([math.nan, 0.2, 0.3]), 9))
