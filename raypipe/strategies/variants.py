"""From the hypotheses of an utterance to its predictions: windows, costs, the adaptive choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from raypipe.errors import ConfigError
from raypipe.labels import LabelSet
from raypipe.records import EmotionTokens, Hypothesis, Prediction
from raypipe.strategies.bundle import Bundle, Windows, prepare
from raypipe.strategies.cost import cost_of
from raypipe.strategies.mean import mean_of
from raypipe.strategies.rules import RULE_SETTINGS, RULES, escalates
from raypipe.strategies.settings import AggregationSettings

STRATEGIES: tuple[str, ...] = (*RULES, "adaptive")
"""Every strategy by its name in configs and tables."""

ADAPTIVE_SETTINGS = ("cheap", "expensive", "threshold")


@dataclass(frozen=True, slots=True)
class Variant:
    """A strategy under one setting.

    Attributes:
        name: what its predictions are recorded under.
        strategy: its name in :data:`STRATEGIES`.
        sub_beams: look at the first so many beams by rank only; None for all. That is not what a
            search with so many beams would have found: see :mod:`raypipe.strategies.sweep`.
        beam_count: read the beams of the search that followed so many; None for the only search
            there is, of several the widest.

    Raises:
        ConfigError: for an unknown strategy, or no beams at all.
    """

    name: str
    strategy: str
    settings: AggregationSettings
    sub_beams: int | None = None
    beam_count: int | None = None

    def __post_init__(self) -> None:
        for name in (self.strategy, *self.rules):
            if name not in STRATEGIES:
                raise ConfigError(f"unknown strategy {name!r}; known: {', '.join(STRATEGIES)}")
        for field in ("sub_beams", "beam_count"):
            count = getattr(self, field)
            if count is not None and count < 1:
                raise ConfigError(f"{field} is 1 or more, got {count}")

    @property
    def rules(self) -> tuple[str, ...]:
        """The strategies it chooses from, the cheap one first; itself but for ``adaptive``."""
        if self.strategy != "adaptive":
            return (self.strategy,)
        return self.settings.adaptive.cheap, self.settings.adaptive.expensive

    @property
    def settings_used(self) -> tuple[str, ...]:
        """Names of the settings that its predictions depend on."""
        used = dict.fromkeys(name for rule in self.rules for name in RULE_SETTINGS[rule])
        return (*used, *(ADAPTIVE_SETTINGS if self.strategy == "adaptive" else ()))


def predict(
    hypotheses: Sequence[Hypothesis],
    strategies: Sequence[str],
    labels: LabelSet,
    emotion_tokens: EmotionTokens,
    settings: AggregationSettings,
) -> list[Prediction]:
    """Predict one distribution per strategy from what a model produced for one utterance.

    Args:
        hypotheses: of every kind, search and window, in any order.
        strategies: names from :data:`STRATEGIES`.
        labels: the K labels every ``probs`` is aligned with.
        emotion_tokens: the tokens that :attr:`Hypothesis.emotion_logits` is aligned with.
        settings: of the aggregation.

    Returns:
        One prediction per strategy, in order; an invalid one with its reason where the
        hypotheses do not serve the strategy.

    Raises:
        ConfigError: for an unknown strategy.
        ValueError: if logits are not aligned with their hypothesis or ``emotion_tokens``, or one
            of several windows does not say how long it is.

    Example:
        >>> answer = Hypothesis("greedy", 0, "Sad: 75%, angry: 25%", (1, 2), None, None,
        ...                     "stop", None, prompt_tokens=30)
        >>> labels = LabelSet(("anger", "sadness"))
        >>> greedy, bon = predict([answer], ["greedy", "bon"], labels,
        ...                       EmotionTokens((), (), ()), AggregationSettings())
        >>> greedy.probs, greedy.model_tokens, bon.invalid_reason
        (array([0.25, 0.75]), 32, 'no_beams')
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
    reader = _Reader(prepare(hypotheses, labels, emotion_tokens))
    return [reader.predict(variant) for variant in variants]


class _Reader:
    """Reads one utterance; what several variants share is worked out once."""

    def __init__(self, windows: Windows) -> None:
        self._windows = windows
        self._known: dict[tuple[object, ...], Prediction] = {}

    def predict(self, variant: Variant) -> Prediction:
        if variant.strategy != "adaptive":
            return replace(self._ruled(variant.strategy, variant), strategy=variant.name)
        cheap, expensive = variant.rules
        looked_at = self._ruled(cheap, variant)
        escalated = escalates(looked_at, variant.settings.adaptive.threshold)
        cost = cost_of(variant.rules if escalated else (cheap,), self._views(variant))
        return replace(
            self._ruled(expensive, variant) if escalated else looked_at,
            strategy=variant.name,
            model_tokens=cost.model_tokens,
            verifier_calls=cost.verifier_calls,
            escalated=escalated,
        )

    def _ruled(self, rule: str, variant: Variant) -> Prediction:
        settings = variant.settings
        key = (
            *(rule, variant.beam_count, variant.sub_beams, settings.tau),
            *(settings.token_steps, settings.token_temperature, settings.length_normalised),
            settings.merge_tokenisations,
        )
        if key not in self._known:
            views = self._views(variant)
            parts = [RULES[rule](view) for view in views]
            cost = cost_of([rule], views)
            self._known[key] = replace(
                mean_of(parts, self._windows.weights, "moments"),
                model_tokens=cost.model_tokens,
                verifier_calls=cost.verifier_calls,
            )
        return self._known[key]

    def _views(self, variant: Variant) -> list[Bundle]:
        return [
            bundle.view(variant.settings, variant.beam_count, variant.sub_beams)
            for bundle in self._windows.bundles
        ]
