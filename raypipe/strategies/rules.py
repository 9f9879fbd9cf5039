"""One rule per strategy: from what stands in a window's :class:`Bundle` to one distribution.

``adaptive`` is no rule of its own but a choice between two, see
:mod:`raypipe.strategies.variants`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from raypipe.records import Prediction
from raypipe.strategies import dirichlet, token_level
from raypipe.strategies.bundle import Bundle, Candidate

Array = NDArray[np.float64]

Question = Literal["greedy", "beams", "cot", "verifier"]
"""``greedy``: the greedy answer; ``beams``: a beam search (or samples); ``cot``: the greedy answer
to the prompt's chain-of-thought variant; ``verifier``: a score of every distinct valid beam."""

# --- the strategies -----------------------------------------------------------------------------


def greedy(bundle: Bundle) -> Prediction:
    """The greedy hypothesis as it was parsed."""
    if bundle.greedy is None:
        return _invalid("greedy", "no_greedy")
    return _single("greedy", bundle.greedy, bundle.settings.tau)


def cot(bundle: Bundle) -> Prediction:
    """The greedy answer to the prompt's variant with step-by-step instructions."""
    if bundle.cot is None:
        return _invalid("cot", "no_cot")
    return _single("cot", bundle.cot, bundle.settings.tau)


def token(bundle: Bundle) -> Prediction:
    """Mean emotion-word logits divided by their sum (token_level_logits, Eq. 2)."""
    source = _token_source(bundle)
    if source is not None and source.hypothesis.emotion_kind != "logit":
        return _invalid("token", "no_raw_logits")
    logits = _label_logits(bundle)
    if isinstance(logits, str):
        return _invalid("token", logits)
    probs = token_level.sum_normalised(logits)
    return (
        _invalid("token", "non_positive_logit") if probs is None else _from_logits("token", probs)
    )


def token_softmax(bundle: Bundle) -> Prediction:
    """Softmax of the mean emotion-word logits, defined for any sign.

    Log-probabilities give the same: they are the logits less one constant per step.
    """
    logits = _label_logits(bundle)
    if isinstance(logits, str):
        return _invalid("token_softmax", logits)
    probs = token_level.softmax_normalised(logits, bundle.settings.token_temperature)
    return _from_logits("token_softmax", probs)


def bon(bundle: Bundle) -> Prediction:
    """The valid beam with the largest alpha; of equal ones the lower rank."""
    beams = _beams_with_alpha(bundle)
    if isinstance(beams, str):
        return _invalid("bon", beams, bundle.beams)
    best = int(np.argmax(_alphas(beams, length_normalised=bundle.settings.length_normalised)))
    return _single("bon", beams[best], bundle.settings.tau)


def w_bon(bundle: Bundle) -> Prediction:
    """Mixture of the valid beams weighted by softmax(alpha) (test_time_scaling, Eq. 2 and 3).

    Where an endpoint tells no probabilities its samples weigh the same.
    """
    if any(beam.hypothesis.alpha_kind == "none" for beam in bundle.beams):
        return _uniform("w_bon", bundle)
    beams = _beams_with_alpha(bundle)
    if isinstance(beams, str):
        return _invalid("w_bon", beams, bundle.beams)
    alphas = _alphas(beams, length_normalised=bundle.settings.length_normalised)
    weights = dirichlet.softmax_weights(alphas)
    return _mixture("w_bon", beams, weights, bundle.settings.tau, "alpha")


def alm_v(bundle: Bundle) -> Prediction:
    """The valid beam with the largest verifier score; of equal ones the lower rank."""
    beams = _beams_with_score(bundle)
    if isinstance(beams, str):
        return _invalid("alm_v", beams, bundle.beams)
    return _single("alm_v", beams[int(np.argmax(_scores(beams)))], bundle.settings.tau)


def w_alm_v(bundle: Bundle) -> Prediction:
    """Mixture of the valid scored beams weighted by their normalised verifier scores."""
    beams = _beams_with_score(bundle)
    if isinstance(beams, str):
        return _invalid("w_alm_v", beams, bundle.beams)
    weights = dirichlet.verifier_weights(_scores(beams))
    return _mixture("w_alm_v", beams, weights, bundle.settings.tau, "verifier")


RULES: Mapping[str, Callable[[Bundle], Prediction]] = {
    "greedy": greedy,
    "cot": cot,
    "token": token,
    "token_softmax": token_softmax,
    "bon": bon,
    "w_bon": w_bon,
    "alm_v": alm_v,
    "w_alm_v": w_alm_v,
}
"""Every rule by its name in configs and tables."""

NEEDS: Mapping[str, frozenset[Question]] = {
    "greedy": frozenset({"greedy"}),
    "cot": frozenset({"cot"}),
    # Their logits are those of the greedy answer. A config without one (decoding.greedy: false)
    # has them read off the best beam instead: what is asked is then up to the config.
    "token": frozenset({"greedy"}),
    "token_softmax": frozenset({"greedy"}),
    "bon": frozenset({"beams"}),
    "w_bon": frozenset({"beams"}),
    "alm_v": frozenset({"beams", "verifier"}),
    "w_alm_v": frozenset({"beams", "verifier"}),
}
"""What a model must have been asked for a rule."""

_BEAMS = ("beam_count", "sub_beams", "merge_tokenisations")
RULE_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "greedy": ("tau",),
    "cot": ("tau",),
    "token": ("token_steps",),
    "token_softmax": ("token_steps", "token_temperature"),
    "bon": (*_BEAMS, "length_normalised", "tau"),
    "w_bon": (*_BEAMS, "length_normalised", "tau"),
    "alm_v": (*_BEAMS, "tau"),
    "w_alm_v": (*_BEAMS, "tau"),
}
"""What of the settings and of a :class:`raypipe.strategies.Variant` changes a rule's predictions.

No distribution depends on tau, only its uncertainty does: the mean of a Dirichlet mixture is the
same whatever the concentration.
"""


# --- what they share ----------------------------------------------------------------------------


def _beams_with_alpha(bundle: Bundle) -> list[Candidate] | str:
    """Valid beams, or why there are none. A beam without alpha cannot be weighed at all."""
    if not bundle.beams:
        return "no_beams"
    if any(beam.hypothesis.alpha is None for beam in bundle.beams):
        return "no_alpha"
    if any(np.isnan(beam.hypothesis.alpha or 0.0) for beam in bundle.beams):
        return "not_finite"
    usable = [beam for beam in bundle.beams if np.isfinite(beam.hypothesis.alpha or 0.0)]
    return [beam for beam in usable if beam.parsed.probs is not None] or "no_valid_beam"


def _uniform(strategy: str, bundle: Bundle) -> Prediction:
    """Mixture of the valid beams, all weighing the same."""
    beams = [beam for beam in bundle.beams if beam.parsed.probs is not None]
    if not beams:
        return _invalid(strategy, "no_valid_beam", bundle.beams)
    weights = np.full(len(beams), 1.0 / len(beams))
    return _mixture(strategy, beams, weights, bundle.settings.tau, "uniform")


def _beams_with_score(bundle: Bundle) -> list[Candidate] | str:
    """Valid beams with a usable score, or why there are none; unscored beams drop out."""
    if not bundle.beams:
        return "no_beams"
    scored = [beam for beam in bundle.beams if _is_score(beam.hypothesis.verifier_score)]
    if not scored:
        return "no_scores"
    return [beam for beam in scored if beam.parsed.probs is not None] or "no_valid_beam"


def _is_score(score: float | None) -> bool:
    return score is not None and 0.0 <= score <= 1.0


def _alphas(beams: Sequence[Candidate], *, length_normalised: bool) -> Array:
    alphas = np.array([beam.hypothesis.alpha for beam in beams], dtype=np.float64)
    if not length_normalised:
        return alphas
    lengths = np.array([max(beam.hypothesis.steps, 1) for beam in beams])
    return np.asarray(alphas / lengths)


def _scores(beams: Sequence[Candidate]) -> Array:
    return np.array([beam.hypothesis.verifier_score for beam in beams], dtype=np.float64)


def _token_source(bundle: Bundle) -> Candidate | None:
    """Whose logits the token strategies read: the greedy hypothesis', else the best beam's."""
    return bundle.greedy or (bundle.searched[0] if bundle.searched else None)


def _label_logits(bundle: Bundle) -> Array | str:
    """Mean label logits of the greedy hypothesis (else of the best beam), or why there are none."""
    source = _token_source(bundle)
    if source is None or source.hypothesis.emotion_logits is None:
        return "no_logits"
    weights = token_level.label_weights(bundle.emotion_tokens, bundle.labels)
    if not weights.any(axis=0).all():
        return "no_label_tokens"
    if token_level.text_steps(source.hypothesis) < 1:
        return "no_steps"
    steps = bundle.settings.token_steps
    used = token_level.used_steps(source.hypothesis, bundle.emotion_tokens, steps)
    if not used.any():
        return "no_emotion_word"
    raw = np.asarray(source.hypothesis.emotion_logits, dtype=np.float64)
    logits = token_level.label_logits(raw, used, weights)
    if np.isfinite(logits).all():
        return logits
    return "logprobs_incomplete" if source.hypothesis.emotion_kind == "logprob" else "not_finite"


def _single(strategy: str, chosen: Candidate, tau: float) -> Prediction:
    """The prediction of one hypothesis: a mixture of one component."""
    if chosen.parsed.probs is None:
        return Prediction(strategy, None, chosen.parsed.rule, chosen.parsed.invalid_reason)
    return _mixture(strategy, [chosen], np.ones(1), tau)


def _mixture(
    strategy: str,
    beams: Sequence[Candidate],
    weights: Array,
    tau: float,
    weighting: str | None = None,
) -> Prediction:
    probs = np.stack([beam.parsed.probs for beam in beams if beam.parsed.probs is not None])
    mean = dirichlet.mixture_mean(weights, probs)
    total, aleatoric, epistemic = dirichlet.split_entropy(mean, weights, probs, tau)
    return Prediction(
        strategy=strategy,
        probs=mean,
        parse_rule=_rules(beams),
        entropy=_entropy_bits(mean),
        total_uncertainty=total,
        aleatoric_uncertainty=aleatoric,
        epistemic_uncertainty=epistemic,
        weighting=weighting,
    )


def _from_logits(strategy: str, probs: Array) -> Prediction:
    return Prediction(strategy, probs, None, entropy=_entropy_bits(probs))


def _invalid(strategy: str, reason: str, beams: Sequence[Candidate] = ()) -> Prediction:
    return Prediction(strategy, None, _rules(beams) if beams else None, reason)


def _rules(beams: Sequence[Candidate]) -> str:
    """The distinct rules in order of rank, joined by ``+``."""
    return "+".join(dict.fromkeys(beam.parsed.rule for beam in beams))


def _entropy_bits(probs: Array) -> float:
    return float(entr(probs).sum() / np.log(2.0))


def escalates(cheap: Prediction, threshold: float) -> bool:
    """Whether ``adaptive`` is not content with a cheap prediction.

    Args:
        cheap: the prediction.
        threshold: in bits.
    """
    return cheap.entropy is None or cheap.entropy > threshold
