"""Strategy ``calibrate``: another strategy's distribution, sharper or flatter as labels ask for.

The shares become p' ∝ p^(1/T) exp(b): a temperature T below 1 sharpens, above 1 flattens, and a
bias b per label, by option, favours a label. They are fitted to a target, the mean of a metric over
the fitted utterances. A share of 0 stays 0 at every temperature and bias: under ``likelihood`` the
votes for it count as metric ``kl`` counts them, with a share of 1e-10, whatever the parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator

from raypipe.labels import LabelSet
from raypipe.metrics.catalogue.jensen_shannon import js_divergence
from raypipe.metrics.catalogue.kullback_leibler import kl_divergence
from raypipe.metrics.distribution import EPS
from raypipe.records import Prediction
from raypipe.strategies.fit_rows import Fit, FitRows
from raypipe.strategies.folds import FIT_FOLDS, FIT_ON
from raypipe.strategies.making import entropy_bits
from raypipe.strategies.setting import Setting, Settings
from raypipe.strategies.strategy import Fitted, base_named

Array = NDArray[np.float64]
Target = Literal["js", "likelihood"]

BASE: Setting[str] = Setting(
    name="base",
    annotation=Annotated[str, AfterValidator(base_named)],
    default="token",
    summary="strategy whose distribution is calibrated",
    examples=("token", "w_bon"),
    section="calibrate",
)
TARGET: Setting[Target] = Setting(
    name="target",
    annotation=Literal["js", "likelihood"],
    default="js",
    summary="what temperature and bias make as small as they can: js (divergence from the soft "
    "label) or likelihood (the negative one, of the votes)",
    examples=("js", "likelihood"),
    section="calibrate",
)
BIAS: Setting[bool] = Setting(
    name="bias",
    annotation=bool,
    default=False,
    summary="fit a bias per label beside the temperature",
    examples=(False, True),
    section="calibrate",
)

TEMPERATURES = (1.0 / 32.0, 32.0)
"""Lowest and highest temperature that is looked at."""

_LOG_RANGE = (float(np.log(TEMPERATURES[0])), float(np.log(TEMPERATURES[1])))
_GRID = np.linspace(*_LOG_RANGE, 41)  # steps of a factor 2^(1/4)
_MOST_BIAS = 10.0  # of a label that no annotator gave; a factor of e^10 between two shares


def calibrated(probs: Array, temperature: float, bias: Array) -> Array:
    """Distributions p^(1/T) exp(b) / sum; a share of 0 stays 0.

    Args:
        probs: shape ``(rows, labels)``, rows sum to 1.
        temperature: T > 0.
        bias: b, shape ``(labels,)``.

    Returns:
        Shape ``(rows, labels)``, rows sum to 1.

    Example:
        >>> calibrated(np.array([[0.8, 0.2, 0.0]]), 0.5, np.zeros(3)).round(4)
        array([[0.9412, 0.0588, 0.    ]])
    """
    with np.errstate(divide="ignore"):
        scores = np.log(probs) / temperature + bias
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


LOSSES: Mapping[str, Callable[[Array, Array], Array]] = {
    "js": js_divergence,
    "likelihood": kl_divergence,
}
"""What each target makes small, per utterance, as a function of (truth, prediction)."""


def _js_slope(truth: Array, prediction: Array) -> Array:
    """Derivative of the divergence by the shares, where they are above 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.log2(2.0 * prediction / (truth + prediction)) / 2.0
    return np.where(prediction > 0.0, slope, 0.0)


def _kl_slope(truth: Array, prediction: Array) -> Array:
    return np.asarray(-truth / (prediction + EPS))


_SLOPES = {"js": _js_slope, "likelihood": _kl_slope}


def _fit(settings: Settings, rows: FitRows) -> Fit:
    target, label_count = settings[TARGET], len(rows.labels)
    loss = LOSSES[target]

    def mean_loss(log_temperature: float, bias: Array) -> float:
        predicted = calibrated(rows.probs, float(np.exp(log_temperature)), bias)
        return float(loss(rows.truth, predicted).mean())

    none = np.zeros(label_count)
    log_temperature = _best_temperature(lambda place: mean_loss(place, none))
    bias = none
    if settings[BIAS]:
        log_temperature, bias = _best_bias(target, rows, log_temperature)
        if mean_loss(log_temperature, bias) > mean_loss(log_temperature, none):
            bias = none
    parameters = {"temperature": float(np.exp(log_temperature))}
    if settings[BIAS]:
        parameters |= {
            f"bias={label}": float(own) for label, own in zip(rows.labels.names, bias, strict=True)
        }
    return Fit(parameters, mean_loss(0.0, none), mean_loss(log_temperature, bias))


def _best_temperature(mean_loss: Callable[[float], float]) -> float:
    """Its logarithm: the best of a grid, then of the two steps around it."""
    from scipy.optimize import minimize_scalar  # every command would load it

    losses = [mean_loss(float(place)) for place in _GRID]
    best = int(np.argmin(losses))
    low, high = _GRID[max(best - 1, 0)], _GRID[min(best + 1, len(_GRID) - 1)]
    found = minimize_scalar(
        mean_loss, bounds=(low, high), method="bounded", options={"xatol": 1e-9}
    )
    return float(found.x if found.fun < losses[best] else _GRID[best])


def _best_bias(target: str, rows: FitRows, log_temperature: float) -> tuple[float, Array]:
    """Logarithm of the temperature and biases, which sum to 0, from the best temperature alone."""
    from scipy.optimize import minimize  # every command would load it

    loss, slope = LOSSES[target], _SLOPES[target]
    logs = np.log(np.where(rows.probs > 0.0, rows.probs, 1.0))

    def loss_and_gradient(place: Array) -> tuple[float, Array]:
        temperature = float(np.exp(place[0]))
        predicted = calibrated(rows.probs, temperature, place[1:])
        own = slope(rows.truth, predicted)
        by_score = predicted * (own - (predicted * own).sum(axis=1, keepdims=True))
        by_temperature = -(by_score * logs).sum(axis=1).mean() / temperature
        gradient = np.array([by_temperature, *by_score.mean(axis=0)])
        return float(loss(rows.truth, predicted).mean()), gradient

    start = np.array([log_temperature, *np.zeros(len(rows.labels))])
    found = minimize(
        loss_and_gradient,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[_LOG_RANGE, *[(-_MOST_BIAS, _MOST_BIAS)] * len(rows.labels)],
        options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 1000},
    )
    best = found.x if found.fun < loss_and_gradient(start)[0] else start
    return float(best[0]), np.asarray(best[1:] - best[1:].mean())


def _apply(parameters: Mapping[str, float], base: Prediction, labels: LabelSet) -> Prediction:
    assert base.probs is not None  # it is applied to valid ones
    bias = np.array([parameters.get(f"bias={label}", 0.0) for label in labels.names])
    probs = calibrated(base.probs[None], parameters["temperature"], bias)[0]
    return replace(
        base,
        probs=probs,
        entropy=entropy_bits(probs),
        # They are of the mixture as it was.
        total_uncertainty=None,
        aleatoric_uncertainty=None,
        epistemic_uncertainty=None,
        covariance=None,
    )


STRATEGY = Fitted(
    name="calibrate",
    summary="another strategy's, sharpened or flattened by a temperature that is fitted to the "
    "annotators' labels of other speakers or of a split",
    source="Guo et al., ICML 2017 (temperature); raypipe's own (target)",
    rank=97,
    base=lambda settings: settings[BASE],
    fit=_fit,
    apply=_apply,
    settings=(BASE, TARGET, BIAS, FIT_ON, FIT_FOLDS),
)
