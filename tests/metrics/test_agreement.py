"""Agreement against another library, published worked examples and plain counting of pairs."""

from __future__ import annotations

import itertools

import krippendorff
import numpy as np
import pytest

from raypipe.metrics.agreement import fleiss_kappa, krippendorff_alpha

# Fleiss (1971): 14 raters, 10 subjects, 5 categories; kappa 0.210. The example everybody prints.
FLEISS = np.array(
    [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ],
    dtype=float,
)

# Gwet (2014), Table 2.12: 12 units, up to four raters, some ratings missing (0).
GWET = [
    [1, 1, 0, 1],
    [2, 2, 3, 2],
    [3, 3, 3, 3],
    [3, 3, 3, 3],
    [2, 2, 2, 2],
    [1, 2, 3, 4],
    [4, 4, 4, 4],
    [1, 1, 2, 1],
    [2, 2, 2, 2],
    [0, 5, 5, 5],
    [0, 0, 1, 1],
    [0, 0, 3, 0],
]


def counts(ratings: list[list[int]], labels: int) -> np.ndarray:
    return np.array(
        [[row.count(label) for label in range(1, labels + 1)] for row in ratings], float
    )


def ones(patterns: np.ndarray) -> np.ndarray:
    return np.ones(len(patterns))


def test_fleiss_s_own_example() -> None:
    assert fleiss_kappa(FLEISS, ones(FLEISS)) == pytest.approx(0.210, abs=5e-4)


def test_gwet_s_example_with_missing_ratings() -> None:
    table = counts(GWET, 5)
    assert krippendorff_alpha(table, ones(table)) == pytest.approx(0.743, abs=5e-4)
    assert fleiss_kappa(table, ones(table)) == pytest.approx(0.76117, abs=5e-6)


@pytest.mark.parametrize("seed", range(20))
def test_alpha_agrees_with_another_library(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(5, 0.5), size=60)
    table = np.array([rng.multinomial(rng.integers(0, 9), row) for row in shares], float)
    other = krippendorff.alpha(value_counts=table.astype(int), level_of_measurement="nominal")
    assert krippendorff_alpha(table, ones(table)) == pytest.approx(other, abs=1e-12)


def test_kappa_is_the_agreement_of_random_pairs_above_chance() -> None:
    rng = np.random.default_rng(7)
    table = np.array(
        [rng.multinomial(rng.integers(2, 7), [0.5, 0.3, 0.2]) for _ in range(30)], float
    )
    agreeing, shares = [], []
    for row in table:
        ratings = [label for label, count in enumerate(row) for _ in range(int(count))]
        pairs = list(itertools.permutations(ratings, 2))
        agreeing.append(sum(a == b for a, b in pairs) / len(pairs))
        shares.append(row / row.sum())
    chance = float((np.mean(shares, axis=0) ** 2).sum())
    expected = (np.mean(agreeing) - chance) / (1 - chance)
    assert fleiss_kappa(table, ones(table)) == pytest.approx(expected, abs=1e-12)


def test_patterns_weigh_as_often_as_they_occur() -> None:
    repeated = np.repeat(FLEISS, 3, axis=0)
    for coefficient in (krippendorff_alpha, fleiss_kappa):
        assert coefficient(FLEISS, np.full(10, 3.0)) == pytest.approx(
            coefficient(repeated, ones(repeated))
        )


def test_with_equal_numbers_alpha_is_kappa_corrected_for_a_small_sample() -> None:
    kappa, alpha = fleiss_kappa(FLEISS, ones(FLEISS)), krippendorff_alpha(FLEISS, ones(FLEISS))
    assert kappa is not None
    assert alpha == pytest.approx(kappa + (1 - kappa) / FLEISS.sum())


@pytest.mark.parametrize(
    "table",
    [np.zeros((0, 3)), np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[5.0, 0.0], [3.0, 0.0]])],
    ids=["nothing", "one rating each", "one label only"],
)
def test_where_there_is_nothing_to_agree_on_it_is_undefined(table: np.ndarray) -> None:
    assert krippendorff_alpha(table, ones(table)) is None
    assert fleiss_kappa(table, ones(table)) is None


def test_full_agreement_is_one() -> None:
    table = np.array([[4.0, 0.0], [0.0, 2.0]])
    assert krippendorff_alpha(table, ones(table)) == pytest.approx(1.0)
    assert fleiss_kappa(table, ones(table)) == pytest.approx(1.0)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="do not go with"):
        fleiss_kappa(FLEISS, np.ones(3))
