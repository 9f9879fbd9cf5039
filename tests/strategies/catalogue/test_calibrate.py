"""Oracles: SciPy's minimisers over losses of their own, and cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from made_up_hypotheses import LABELS, anger, beams, heard, made_up_rows, predicted
from scipy.optimize import brute, minimize
from scipy.special import entr, softmax, xlogy

from raypipe.errors import ConfigError
from raypipe.labels import LabelSet
from raypipe.strategies import Settings
from raypipe.strategies.catalogue.calibrate import STRATEGY, TARGET, calibrated
from raypipe.strategies.fit_rows import Fit, FitRows

NAMES = LabelSet(("anger", "fear", "neutral", "sadness"))


def some_rows(temperature: float, count: int = 300, zeros: bool = False) -> FitRows:
    """Distributions that were made too sharp or too flat by a temperature, with noise."""
    rng = np.random.default_rng(11)
    scores = rng.normal(0, 1.5, (count, 4)) + np.array([0.5, 0, 0.2, -0.4])
    truth = np.stack([rng.multinomial(8, row) for row in softmax(scores, axis=1)]) / 8
    probs = softmax((scores + rng.normal(0, 0.3, scores.shape)) * temperature, axis=1)
    if zeros:
        probs[rng.random(probs.shape) < 0.3] = 0.0
        probs = probs[probs.any(axis=1)]
        truth = truth[: len(probs)]
        probs /= probs.sum(axis=1, keepdims=True)
    return FitRows(NAMES, truth, truth.argmax(axis=1), probs)


def own_calibrated(probs: np.ndarray, temperature: float, bias: np.ndarray) -> np.ndarray:
    powers = probs ** (1 / temperature) * np.exp(bias)
    return powers / powers.sum(axis=1, keepdims=True)


def own_loss(target: str, truth: np.ndarray, probs: np.ndarray) -> float:
    if target == "js":
        middle = (truth + probs) / 2
        gain = entr(middle).sum(axis=1) - (entr(truth) + entr(probs)).sum(axis=1) / 2
        return float(gain.mean() / np.log(2))
    smoothed = (probs + 1e-10) / (1 + probs.shape[1] * 1e-10)
    return float(np.mean((xlogy(truth, truth) - truth * np.log(smoothed)).sum(axis=1)))


def fit(rows: FitRows, **settings: object) -> Fit:
    return STRATEGY.fit(Settings(**settings), rows)


@pytest.mark.parametrize("target", ["js", "likelihood"])
@pytest.mark.parametrize("made", [0.4, 2.0])
@pytest.mark.parametrize("zeros", [False, True])
def test_the_temperature_is_the_best_that_brute_force_finds(
    target: str, made: float, zeros: bool
) -> None:
    rows = some_rows(made, zeros=zeros)
    none = np.zeros(4)

    def loss(place: np.ndarray) -> float:
        probs = own_calibrated(rows.probs, float(np.exp(place[0])), none)
        return own_loss(target, rows.truth, probs)

    end = float(np.log(32))
    best = np.clip(brute(loss, [(-end, end)], Ns=400), -end, end)
    made_fit = fit(rows, target=target)
    assert set(made_fit.parameters) == {"temperature"}
    assert made_fit.parameters["temperature"] == pytest.approx(float(np.exp(best[0])), rel=1e-3)
    assert made_fit.loss_after is not None
    assert made_fit.loss_after <= loss(best) + 1e-9
    own = loss(np.array([np.log(made_fit.parameters["temperature"])]))
    assert made_fit.loss_after == pytest.approx(own, abs=1e-9)
    assert made_fit.loss_before == pytest.approx(loss(np.array([0.0])), abs=1e-9)


@pytest.mark.parametrize("target", ["js", "likelihood"])
def test_temperature_and_biases_are_as_good_as_a_search_without_gradients_finds(
    target: str,
) -> None:
    rows = some_rows(0.4)
    tilted = own_calibrated(rows.probs, 1.0, np.array([1.0, -0.5, 0.0, 0.2]))
    rows = FitRows(NAMES, rows.truth, rows.plurality, tilted)

    def loss(place: np.ndarray) -> float:
        bias = np.array([*place[1:], 0.0])
        probs = own_calibrated(rows.probs, float(np.exp(place[0])), bias)
        return own_loss(target, rows.truth, probs)

    options = {"xatol": 1e-9, "fatol": 1e-14, "maxiter": 20_000, "maxfev": 20_000}
    found = minimize(loss, np.zeros(4), method="Nelder-Mead", options=options)
    made = fit(rows, target=target, bias=True)
    assert made.loss_after == pytest.approx(found.fun, abs=1e-9)
    bias = np.array([made.parameters[f"bias={label}"] for label in NAMES.names])
    assert bias.sum() == pytest.approx(0.0, abs=1e-9)
    expected = np.array([*found.x[1:], 0.0])
    np.testing.assert_allclose(bias, expected - expected.mean(), atol=1e-4)
    without = fit(rows, target=target)
    assert without.loss_after is not None
    assert made.loss_after < without.loss_after


def test_a_label_that_nobody_gave_gets_a_bias_that_has_an_end() -> None:
    rows = some_rows(1.0)
    truth = rows.truth.copy()
    truth[:, 3] = 0.0
    truth = truth[truth.any(axis=1)]
    probs = rows.probs[: len(truth)]
    rows = FitRows(NAMES, truth / truth.sum(axis=1, keepdims=True), truth.argmax(axis=1), probs)
    made = fit(rows, target="likelihood", bias=True)
    assert all(np.isfinite(value) for value in made.parameters.values())
    assert made.parameters["bias=sadness"] < -5


def test_a_share_of_zero_stays_zero_and_the_order_of_labels_stays() -> None:
    shares = np.array([[0.5, 0.3, 0.2, 0.0]])
    for temperature in (1 / 32, 0.5, 1.0, 7.0, 32.0):
        made = calibrated(shares, temperature, np.zeros(4))[0]
        assert made[3] == 0.0
        assert made.sum() == pytest.approx(1.0, abs=1e-12)
        assert made[0] > made[1] > made[2] > 0.0
    np.testing.assert_allclose(calibrated(shares, 1.0, np.zeros(4)), shares, atol=1e-15)


def test_ties_stay_ties() -> None:
    made = calibrated(np.array([[0.4, 0.4, 0.2]]), 0.31, np.zeros(3))[0]
    assert made[0] == made[1]


def test_a_prediction_keeps_its_costs_and_loses_the_uncertainty_of_the_mixture_it_was() -> None:
    answers = beams(0.9, 0.6)
    base = predicted("w_bon", answers)
    made = predicted("calibrate", answers, base="w_bon")
    assert base.probs is not None
    assert made.probs is not None
    assert (made.model_tokens, made.parse_rule) == (base.model_tokens, base.parse_rule)
    assert base.total_uncertainty is not None
    assert made.total_uncertainty is made.epistemic_uncertainty is made.covariance is None
    expected = -(made.probs * np.log2(made.probs)).sum()
    assert made.entropy == pytest.approx(expected, abs=1e-12)
    assert made.probs[0] > base.probs[0], "the made-up corpus asks for sharper shares"


def test_it_starts_from_the_strategy_that_a_setting_names_a_pool_too() -> None:
    answers = [heard("greedy", 0.6), *beams(0.6, 0.6)]
    assert anger("calibrate", answers, base="greedy") == anger("calibrate", answers, base="bon")
    pooled = predicted("calibrate", answers, base="pool", of="greedy+bon")
    assert pooled.probs is not None
    assert round(float(pooled.probs[0]), 6) == anger("calibrate", answers, base="greedy")


def test_what_is_invalid_stays_invalid_with_its_reason() -> None:
    answers = [heard("greedy", None)]
    made = predicted("calibrate", answers, base="greedy")
    assert made.probs is None
    assert made.invalid_reason == predicted("greedy", answers).invalid_reason


@pytest.mark.parametrize(
    ("value", "reason"),
    [("best", "unknown strategy 'best'"), ("conformal", "conformal is fitted itself")],
)
def test_what_is_no_base_is_refused(value: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Settings(base=value)


def test_another_target_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"calibrate\.target"):
        TARGET.checked("ece")


def test_the_made_up_corpus_has_the_labels_of_the_tests() -> None:
    assert made_up_rows().labels == LABELS
