import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon
from scipy.special import rel_entr
from sklearn.metrics import r2_score

from raypipe.metrics.catalogue.bhattacharyya import (
    bhattacharyya_coefficient,
    bhattacharyya_distance,
)
from raypipe.metrics.catalogue.jensen_shannon import js_distance, js_divergence
from raypipe.metrics.catalogue.kullback_leibler import kl_divergence
from raypipe.metrics.catalogue.r2 import r2, r2_determination
from raypipe.metrics.distribution import EPS, entropy_bits
from raypipe.metrics.registry import COLUMNS, per_utterance

RNG = np.random.default_rng(1)
TRUTH = RNG.multinomial(7, RNG.dirichlet(np.ones(6), 200)) / 7.0
PREDICTION = RNG.dirichlet(np.full(6, 0.5), 200)
PREDICTION[::5] = np.eye(6)[RNG.integers(0, 6, 40)]


def test_js_agrees_with_scipy() -> None:
    reference = [jensenshannon(p, q, base=2) for p, q in zip(TRUTH, PREDICTION, strict=True)]
    np.testing.assert_allclose(js_distance(TRUTH, PREDICTION), reference, atol=1e-9)
    np.testing.assert_allclose(js_divergence(TRUTH, PREDICTION), np.square(reference), atol=1e-9)


def test_kl_agrees_with_scipy_on_the_smoothed_prediction() -> None:
    smoothed = (PREDICTION + EPS) / (PREDICTION + EPS).sum(axis=1, keepdims=True)
    reference = stats.entropy(TRUTH, smoothed, axis=1)
    np.testing.assert_allclose(kl_divergence(TRUTH, PREDICTION), reference, atol=1e-9)
    np.testing.assert_allclose(reference, rel_entr(TRUTH, smoothed).sum(axis=1), atol=1e-9)


def test_kl_of_a_missed_label_is_large_and_finite() -> None:
    value = kl_divergence(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]))[0]
    assert value == pytest.approx(-np.log(EPS / (1 + 2 * EPS)), abs=1e-9)


def test_bhattacharyya_agrees_with_its_definition() -> None:
    reference = [
        sum(np.sqrt(a * b) for a, b in zip(p, q, strict=True))
        for p, q in zip(TRUTH, PREDICTION, strict=True)
    ]
    np.testing.assert_allclose(bhattacharyya_coefficient(TRUTH, PREDICTION), reference, atol=1e-9)
    np.testing.assert_allclose(
        bhattacharyya_distance(TRUTH, PREDICTION), -np.log(np.maximum(reference, EPS)), atol=1e-9
    )
    disjoint = bhattacharyya_distance(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]))
    assert disjoint[0] == pytest.approx(-np.log(1e-10))


def test_r2_agrees_with_scipy_and_sklearn() -> None:
    pearson = [stats.pearsonr(p, q).statistic for p, q in zip(TRUTH, PREDICTION, strict=True)]
    np.testing.assert_allclose(r2(TRUTH, PREDICTION), np.square(pearson), atol=1e-9)
    determination = [r2_score(p, q) for p, q in zip(TRUTH, PREDICTION, strict=True)]
    np.testing.assert_allclose(r2_determination(TRUTH, PREDICTION), determination, atol=1e-9)


def test_r2_gives_the_values_printed_in_the_fields_own_notebook() -> None:
    # AER-LLM prints .7641 and .0277 (from shares rounded to two digits).
    truth = np.array([[0.33, 0.0, 0.0, 0.67], [0.0, 1.0, 0.0, 0.0]])
    prediction = np.array([[0.0, 0.0, 0.0, 1.0], [0.67, 0.33, 0.0, 0.0]])
    np.testing.assert_allclose(r2(truth, prediction), [0.7641, 0.0277], atol=6e-5)


@pytest.mark.parametrize("size", [3, 6, 7, 9])
def test_r2_is_undefined_for_constant_rows_whatever_their_rounding(size: int) -> None:
    constant = np.full((1, size), 1.0 / size)
    rounded = np.cumsum(constant, axis=1)
    rounded = np.diff(np.hstack([[[0.0]], rounded]), axis=1)  # 1/K up to an ulp
    peaked = np.eye(size)[:1]
    assert np.isnan(r2(peaked, rounded)).all()
    assert np.isnan(r2(rounded, peaked)).all()
    assert np.isnan(r2_determination(rounded, peaked)).all()
    assert r2_determination(peaked, constant)[0] == pytest.approx(0.0)


def test_entropy_agrees_with_scipy() -> None:
    np.testing.assert_allclose(
        entropy_bits(PREDICTION), stats.entropy(PREDICTION, axis=1, base=2), atol=1e-9
    )
    assert entropy_bits(np.full(4, 0.25)) == pytest.approx(2.0)


def test_per_utterance_gives_every_column_as_the_single_functions_do() -> None:
    columns = per_utterance(TRUTH, PREDICTION)
    assert tuple(columns) == COLUMNS
    single = {"js": js_divergence, "js_distance": js_distance, "kl": kl_divergence}
    single |= {"bc": bhattacharyya_coefficient, "bd": bhattacharyya_distance}
    single |= {"r2": r2, "r2_det": r2_determination}
    assert single.keys() <= columns.keys()
    for name, function in single.items():
        np.testing.assert_array_equal(columns[name], function(TRUTH, PREDICTION))


def test_equal_rows_are_perfect_and_a_nan_row_stays_nan() -> None:
    columns = per_utterance(TRUTH, TRUTH)
    for name, best in {"js": 0.0, "js_distance": 0.0, "bc": 1.0, "bd": 0.0, "kl": 0.0}.items():
        np.testing.assert_allclose(columns[name], best, atol=2e-8)
    broken = per_utterance(TRUTH[:1], np.full((1, 6), np.nan))
    assert all(np.isnan(values).all() for values in broken.values())


def test_misshaped_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="utterances, labels"):
        js_divergence(TRUTH, PREDICTION[:, :3])
    with pytest.raises(ValueError, match="utterances, labels"):
        kl_divergence(TRUTH[0], PREDICTION[0])
