"""Strategies: rules that turn what a model produced into one predicted distribution.

================  ===========================================================================
strategy          rule
================  ===========================================================================
``greedy``        the greedy hypothesis as parsed (no test-time scaling)
``token``         mean raw logits of the emotion words, divided by their sum (Eq. 2 of
                  token_level_logits)
``token_softmax`` the same logits through a softmax with a temperature
``bon``           the valid beam with the largest alpha (test_time_scaling, 4.2.2)
``w_bon``         Dirichlet mixture of the valid beams, weights softmax(alpha) (Eq. 2 and 3);
                  equal weights, and ``weighting`` says so, where an endpoint tells no alpha
``alm_v``         the valid beam with the largest verifier score (4.2.3)
``w_alm_v``       Dirichlet mixture, weights from the verifier scores
================  ===========================================================================

To add a strategy, write one function of a :class:`Bundle` and name it in :data:`STRATEGIES` and
:data:`SETTINGS_USED`.
A strategy that lacks what it needs gives an invalid prediction with a stable reason; it never
raises and never falls back to another: ``no_greedy``, ``no_beams``, ``no_alpha``,
``no_valid_beam``, ``no_scores``, ``no_logits``, ``no_steps``, ``no_label_tokens``,
``no_emotion_word``, ``non_positive_logit``, ``no_raw_logits`` (log-probabilities only),
``logprobs_incomplete``, ``not_finite``, ``refusal``, ``content_filter``, or the reason of the
parser.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from raypipe.errors import ConfigError
from raypipe.labels import LabelSet
from raypipe.parsing import parse_answer
from raypipe.records import EmotionTokens, Hypothesis, Parsed, Prediction
from raypipe.strategies import dirichlet, token_level
from raypipe.strategies.token_level import TokenSteps

__all__ = [
    "SETTINGS_USED",
    "STRATEGIES",
    "AggregationSettings",
    "Bundle",
    "Candidate",
    "Variant",
    "predict",
    "predict_variants",
    "prepare",
]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class AggregationSettings:
    """What can be changed without asking a model again.

    Attributes:
        tau: total concentration of every Dirichlet component, > 0.
        token_steps: steps that the token strategies average over, ``all`` or ``words``.
        token_temperature: of ``token_softmax``, > 0.
        length_normalised: rank and weigh beams by alpha / number of tokens instead of alpha.

    Raises:
        ConfigError: if tau or the temperature is not positive, or the steps are unknown.
    """

    tau: float = 1.0
    token_steps: TokenSteps = "all"
    token_temperature: float = 1.0
    length_normalised: bool = False

    def __post_init__(self) -> None:
        if not (0.0 < self.tau < np.inf and 0.0 < self.token_temperature < np.inf):
            raise ConfigError(
                f"tau and token_temperature must be positive and finite, "
                f"got {self.tau} and {self.token_temperature}"
            )
        if self.token_steps not in ("all", "words"):
            raise ConfigError(f"token_steps is 'all' or 'words', got {self.token_steps!r}")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A hypothesis beside what the parser read in it."""

    hypothesis: Hypothesis
    parsed: Parsed


@dataclass(frozen=True, slots=True)
class Bundle:
    """All that a strategy may look at for one utterance.

    Attributes:
        greedy: the greedy hypothesis; None if the engine gave none.
        beams: the beams by rank.
    """

    greedy: Candidate | None
    beams: tuple[Candidate, ...]
    labels: LabelSet
    emotion_tokens: EmotionTokens
    settings: AggregationSettings


@dataclass(frozen=True, slots=True)
class Variant:
    """A strategy under one setting.

    Attributes:
        name: what its predictions are recorded under.
        strategy: its name in :data:`STRATEGIES`.
        sub_beams: look at the first so many beams by rank only; None for all. That is not what a
            search with so many beams would have found: see :mod:`raypipe.strategies.sweep`.

    Raises:
        ConfigError: for an unknown strategy, or no beams at all.
    """

    name: str
    strategy: str
    settings: AggregationSettings
    sub_beams: int | None = None

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise ConfigError(f"unknown strategy {self.strategy!r}; known: {', '.join(STRATEGIES)}")
        if self.sub_beams is not None and self.sub_beams < 1:
            raise ConfigError(f"sub_beams is 1 or more, got {self.sub_beams}")

    def view(self, bundle: Bundle) -> Bundle:
        """What of an utterance's hypotheses the strategy looks at, and how."""
        return Bundle(
            greedy=bundle.greedy,
            beams=bundle.beams[: self.sub_beams],
            labels=bundle.labels,
            emotion_tokens=bundle.emotion_tokens,
            settings=self.settings,
        )


def prepare(
    hypotheses: Sequence[Hypothesis],
    labels: LabelSet,
    emotion_tokens: EmotionTokens,
    settings: AggregationSettings | None = None,
) -> Bundle:
    """Parse every hypothesis once and sort them into the greedy one and the beams by rank."""
    # Greedy and the best beam often agree word for word.
    parsed = {text: parse_answer(text, labels) for text in {item.text for item in hypotheses}}
    candidates = [Candidate(item, _refused(item) or parsed[item.text]) for item in hypotheses]
    greedy = [item for item in candidates if item.hypothesis.kind == "greedy"]
    beams = [item for item in candidates if item.hypothesis.kind == "beam"]
    return Bundle(
        greedy=greedy[0] if greedy else None,
        beams=tuple(sorted(beams, key=lambda item: item.hypothesis.rank)),
        labels=labels,
        emotion_tokens=emotion_tokens,
        settings=settings or AggregationSettings(),
    )


def _refused(hypothesis: Hypothesis) -> Parsed | None:
    """A refusal may well name emotions; it is not an answer all the same."""
    reason = hypothesis.finish_reason
    return Parsed(None, "none", reason) if reason in ("refusal", "content_filter") else None


def predict(
    hypotheses: Sequence[Hypothesis],
    strategies: Sequence[str],
    labels: LabelSet,
    emotion_tokens: EmotionTokens,
    settings: AggregationSettings,
) -> list[Prediction]:
    """Predict one distribution per strategy from what a model produced for one utterance.

    Args:
        hypotheses: the greedy output and the beams, in any order.
        strategies: names from :data:`STRATEGIES`.
        labels: the K labels every ``probs`` is aligned with.
        emotion_tokens: the tokens that :attr:`Hypothesis.emotion_logits` is aligned with.
        settings: of the aggregation.

    Returns:
        One prediction per strategy, in order; an invalid one with its reason where the
        hypotheses do not serve the strategy.

    Raises:
        ConfigError: for an unknown strategy.
        ValueError: if logits are not aligned with their hypothesis or ``emotion_tokens``.

    Example:
        >>> answer = Hypothesis("greedy", 0, "Sad: 75%, angry: 25%", (1, 2), None, None,
        ...                     "stop", None)
        >>> labels = LabelSet(("anger", "sadness"))
        >>> greedy, bon = predict([answer], ["greedy", "bon"], labels,
        ...                       EmotionTokens((), (), ()), AggregationSettings())
        >>> greedy.probs, bon.invalid_reason
        (array([0.25, 0.75]), 'no_beams')
    """
    variants = [Variant(name, name, settings) for name in strategies]
    return predict_variants(hypotheses, variants, labels, emotion_tokens)


def predict_variants(
    hypotheses: Sequence[Hypothesis],
    variants: Sequence[Variant],
    labels: LabelSet,
    emotion_tokens: EmotionTokens,
) -> list[Prediction]:
    """:func:`predict` under several settings; every text is parsed once for all of them.

    Returns:
        One prediction per variant, in order, recorded under the variant's name.

    Raises:
        ValueError: as :func:`predict`.
    """
    bundle = prepare(hypotheses, labels, emotion_tokens)
    return [
        _recorded_as(variant.name, STRATEGIES[variant.strategy](variant.view(bundle)))
        for variant in variants
    ]


def _recorded_as(name: str, prediction: Prediction) -> Prediction:
    return prediction if prediction.strategy == name else replace(prediction, strategy=name)


# --- the strategies -----------------------------------------------------------------------------


def greedy(bundle: Bundle) -> Prediction:
    """The greedy hypothesis as it was parsed."""
    if bundle.greedy is None:
        return _invalid("greedy", "no_greedy")
    return _single("greedy", bundle.greedy, bundle.settings.tau)


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


STRATEGIES: Mapping[str, Callable[[Bundle], Prediction]] = {
    "greedy": greedy,
    "token": token,
    "token_softmax": token_softmax,
    "bon": bon,
    "w_bon": w_bon,
    "alm_v": alm_v,
    "w_alm_v": w_alm_v,
}
"""Every strategy by its name in configs and tables."""

SETTINGS_USED: Mapping[str, tuple[str, ...]] = {
    "greedy": ("tau",),
    "token": ("token_steps",),
    "token_softmax": ("token_steps", "token_temperature"),
    "bon": ("sub_beams", "length_normalised", "tau"),
    "w_bon": ("sub_beams", "length_normalised", "tau"),
    "alm_v": ("sub_beams", "tau"),
    "w_alm_v": ("sub_beams", "tau"),
}
"""What of :class:`AggregationSettings` and :class:`Variant` changes a strategy's predictions.

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
    return bundle.greedy or (bundle.beams[0] if bundle.beams else None)


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
