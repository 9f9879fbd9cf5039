"""The mean of several predictions: of a clip's windows, of an ensemble's prompts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from raypipe.questions import total
from raypipe.records import Prediction

Parts = Literal["alternatives", "moments"]


def mean_of(
    predictions: Sequence[Prediction], weights: Sequence[float], parts: Parts
) -> Prediction:
    """Weighted mean of one strategy's predictions, those that are valid.

    Invalid parts drop out and the weights of the rest are renormalised. The costs of all parts
    add up, of the invalid ones too. One valid part alone keeps all that it says.

    What becomes of the uncertainty depends on what the parts are. ``alternatives`` (prompts) are
    guesses at one and the same thing, only one of which need be right: the prediction is a mixture
    with one component per part, so the laws of total entropy and covariance hold. Aleatoric
    uncertainty E[H(p)] is the weighted mean of the parts', and what they disagree about adds to the
    epistemic part and to the covariance. ``moments`` (windows of a clip) are all right, each for
    its time: what is predicted is the average p = sum_i w_i p_i itself. The entropy of an average
    is no average of entropies, so the parts do not tell E[H(p)]: aleatoric and epistemic
    uncertainty are None, and so is the covariance. Total uncertainty, the entropy of the mean, is
    right for both. All of them are None
    where a part has none.

    Args:
        predictions: at least one, all of one strategy.
        weights: of every prediction, > 0; they need not sum to 1.
        parts: what they are.

    Returns:
        The mean, under the strategy's name; the first part's reason if all are invalid. Its
        ``parse_rule`` and ``weighting`` are the distinct ones of the valid parts joined by
        ``+``; ``escalated`` says whether any part was.

    Raises:
        ValueError: without predictions, for predictions of several strategies, or weights that
            are not aligned or not positive.

    Example:
        >>> calm = Prediction("greedy", np.array([1.0, 0.0]), "json", model_tokens=40)
        >>> tense = Prediction("greedy", np.array([0.0, 1.0]), "json", model_tokens=50)
        >>> mean = mean_of([calm, tense], [30.0, 10.0], "moments")
        >>> mean.probs, mean.model_tokens
        (array([0.75, 0.25]), 90)
    """
    if not predictions or len({prediction.strategy for prediction in predictions}) != 1:
        raise ValueError(
            f"a mean is of one strategy, got {[item.strategy for item in predictions]}"
        )
    if len(weights) != len(predictions) or not all(0.0 < weight < np.inf for weight in weights):
        raise ValueError(f"{len(predictions)} predictions with weights {list(weights)}")
    if len(predictions) == 1:
        return predictions[0]
    known = [
        (prediction, weight)
        for prediction, weight in zip(predictions, weights, strict=True)
        if prediction.valid
    ]
    chosen = _combined(known, parts) if known else predictions[0]
    flags = [prediction.escalated for prediction in predictions if prediction.escalated is not None]
    return replace(
        chosen,
        model_tokens=total([prediction.model_tokens for prediction in predictions]),
        verifier_calls=total([prediction.verifier_calls for prediction in predictions]),
        escalated=any(flags) if flags else None,
    )


def ensemble(predictions: Mapping[str, Sequence[Prediction]]) -> list[Prediction]:
    """One prediction per strategy for an utterance that was asked about under several prompts.

    The prompts weigh the same and are alternatives (see :func:`mean_of`).

    Args:
        predictions: by prompt, one per strategy, in the same order under every prompt. A prompt
            under which nothing could be asked is left out.

    Returns:
        One per strategy, in that order.

    Raises:
        ValueError: without prompts, or if they do not have the same strategies.

    Example:
        >>> plain = Prediction("greedy", np.array([0.5, 0.5]), "json")
        >>> other = Prediction("greedy", np.array([1.0, 0.0]), "json")
        >>> ensemble({"distribution": [plain], "ambiguous": [other]})[0].probs
        array([0.75, 0.25])
    """
    orders = {tuple(prediction.strategy for prediction in own) for own in predictions.values()}
    if len(orders) != 1:
        raise ValueError(f"an ensemble is of the same strategies, got {sorted(orders)}")
    together = zip(*predictions.values(), strict=True)
    return [mean_of(same, [1.0] * len(same), "alternatives") for same in together]


def _combined(known: Sequence[tuple[Prediction, float]], parts: Parts) -> Prediction:
    if len(known) == 1:
        return known[0][0]
    valid = [prediction for prediction, _ in known]
    weights = np.array([weight for _, weight in known]) / sum(weight for _, weight in known)
    mean = weights @ np.stack(
        [prediction.probs for prediction in valid if prediction.probs is not None]
    )
    probs = np.asarray(mean / mean.sum())
    nats = float(entr(probs).sum())
    unknown = any(prediction.total_uncertainty is None for prediction in valid)
    # An average's covariance depends on how its parts go together, which they do not tell either.
    is_mixture = parts == "alternatives"
    aleatoric = _mean_aleatoric(valid, weights, nats) if is_mixture else None
    return replace(
        valid[0],
        probs=probs,
        parse_rule=_joined(prediction.parse_rule for prediction in valid),
        dropped_share=_mean_dropped(valid, weights),
        weighting=_joined(prediction.weighting for prediction in valid),
        entropy=nats / float(np.log(2.0)),
        total_uncertainty=None if unknown else nats,
        aleatoric_uncertainty=aleatoric,
        epistemic_uncertainty=None if aleatoric is None else nats - aleatoric,
        covariance=_mixture_covariance(valid, weights, probs) if is_mixture else None,
    )


def _mean_dropped(valid: Sequence[Prediction], weights: NDArray[np.float64]) -> float | None:
    shares = [item.dropped_share for item in valid if item.dropped_share is not None]
    return float(weights @ np.array(shares)) if len(shares) == len(valid) else None


def _mean_aleatoric(
    valid: Sequence[Prediction], weights: NDArray[np.float64], nats: float
) -> float | None:
    known = [
        prediction.aleatoric_uncertainty
        for prediction in valid
        if prediction.aleatoric_uncertainty is not None
    ]
    # At most the entropy of the mean: exactly so in theory, rounding may break it by an ulp.
    return min(float(weights @ np.array(known)), nats) if len(known) == len(valid) else None


def _mixture_covariance(
    valid: Sequence[Prediction], weights: NDArray[np.float64], mean: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """By the law of total covariance: the mean of the parts' and the covariance of their means."""
    covariance = np.zeros((len(mean), len(mean)))
    for prediction, weight in zip(valid, weights, strict=True):
        if prediction.covariance is None or prediction.probs is None:
            return None
        offset = prediction.probs - mean
        covariance += weight * (prediction.covariance + np.outer(offset, offset))
    return covariance


def _joined(names: Iterable[str | None]) -> str | None:
    """The distinct names in order, joined by ``+`` as the parts join theirs."""
    known = [part for name in names if name is not None for part in name.split("+")]
    return "+".join(dict.fromkeys(known)) or None
