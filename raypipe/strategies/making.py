"""Predictions from candidates: what several strategies share.

They are without the strategy's name, which its reader adds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from raypipe.records import Prediction
from raypipe.strategies import dirichlet
from raypipe.strategies.answers import Candidate, WindowAnswers
from raypipe.strategies.setting import Settings
from raypipe.strategies.shared import LENGTH_NORMALISED, TAU

Array = NDArray[np.float64]


def single(chosen: Candidate, settings: Settings) -> Prediction:
    """The prediction of one hypothesis: a mixture of one component, or the parser's reason."""
    if chosen.parsed.probs is None:
        parsed = chosen.parsed
        return Prediction(
            "", None, parsed.rule, parsed.invalid_reason, dropped_share=parsed.dropped_share
        )
    return mixture([chosen], np.ones(1), settings)


def mixture(
    beams: Sequence[Candidate], weights: Array, settings: Settings, weighting: str | None = None
) -> Prediction:
    """The mean of a Dirichlet mixture with its uncertainty (test_time_scaling, Eq. 3).

    Args:
        beams: valid ones.
        weights: of the beams, shape ``(beams,)``, summing to 1.
        settings: of which ``tau`` is read.
        weighting: how the beams were weighed; None where they were not.
    """
    probs = np.stack([beam.parsed.probs for beam in beams if beam.parsed.probs is not None])
    mean = dirichlet.mixture_mean(weights, probs)
    total, aleatoric, epistemic = dirichlet.split_entropy(mean, weights, probs, settings[TAU])
    return Prediction(
        strategy="",
        probs=mean,
        parse_rule=rules_of(beams),
        entropy=entropy_bits(mean),
        total_uncertainty=total,
        aleatoric_uncertainty=aleatoric,
        epistemic_uncertainty=epistemic,
        dropped_share=float(weights @ [beam.parsed.dropped_share for beam in beams]),
        weighting=weighting,
        covariance=dirichlet.mixture_covariance(weights, probs, settings[TAU]),
    )


def uniform_mixture(answers: WindowAnswers) -> Prediction:
    """The mixture of the valid beams, all weighing the same."""
    beams = [beam for beam in answers.beams if beam.parsed.probs is not None]
    if not beams:
        return invalid("no_valid_beam", answers.beams)
    weights = np.full(len(beams), 1.0 / len(beams))
    return mixture(beams, weights, answers.settings, "uniform")


def invalid(reason: str, beams: Sequence[Candidate] = ()) -> Prediction:
    """A prediction without a distribution.

    Args:
        reason: short and stable; a value of the column ``invalid_reason``.
        beams: whose parsing rules are kept.
    """
    return Prediction("", None, rules_of(beams) if beams else None, reason)


def from_logits(probs: Array) -> Prediction:
    """A prediction read from logits, shape ``(labels,)``, summing to 1: no text was parsed."""
    return Prediction("", probs, None, entropy=entropy_bits(probs))


def beams_with_alpha(answers: WindowAnswers) -> list[Candidate] | str:
    """Valid beams, or the reason why there are none; one without alpha cannot be weighed at all."""
    alphas = [beam.hypothesis.alpha for beam in answers.beams]
    if not alphas:
        return "no_beams"
    if any(alpha is None for alpha in alphas):
        return "no_alpha"
    if any(np.isnan(alpha or 0.0) for alpha in alphas):
        return "not_finite"
    usable = [beam for beam in answers.beams if np.isfinite(beam.hypothesis.alpha or 0.0)]
    return [beam for beam in usable if beam.parsed.probs is not None] or "no_valid_beam"


def beams_with_score(answers: WindowAnswers) -> list[Candidate] | str:
    """Valid beams with a usable verifier score, or the reason why there are none."""
    if not answers.beams:
        return "no_beams"
    scored = [beam for beam in answers.beams if _is_score(beam.hypothesis.verifier_score)]
    if not scored:
        return "no_scores"
    return [beam for beam in scored if beam.parsed.probs is not None] or "no_valid_beam"


def alphas_of(beams: Sequence[Candidate], settings: Settings) -> Array:
    """Log-likelihoods that beams are ranked and weighed by, in nats, shape ``(beams,)``."""
    alphas = np.array([beam.hypothesis.alpha for beam in beams], dtype=np.float64)
    if not settings[LENGTH_NORMALISED]:
        return alphas
    lengths = np.array([max(beam.hypothesis.steps, 1) for beam in beams])
    return np.asarray(alphas / lengths)


def scores_of(beams: Sequence[Candidate]) -> Array:
    """Verifier scores, in [0, 1], shape ``(beams,)``."""
    return np.array([beam.hypothesis.verifier_score for beam in beams], dtype=np.float64)


def rules_of(beams: Sequence[Candidate]) -> str:
    """The distinct parsing rules in order of rank, joined by ``+``."""
    return "+".join(dict.fromkeys(beam.parsed.rule for beam in beams))


def entropy_bits(probs: Array) -> float:
    """Entropy of a distribution of shape ``(labels,)``, in bits."""
    return float(entr(probs).sum() / np.log(2.0))


def _is_score(score: float | None) -> bool:
    return score is not None and 0.0 <= score <= 1.0
