"""From the hypotheses of an utterance to its predictions: variants, windows, costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from raypipe.errors import ConfigError
from raypipe.labels import LabelSet
from raypipe.records import AskedQuestion, EmotionTokens, Hypothesis, Option, Prediction
from raypipe.strategies.answers import WindowAnswers, Windows, prepare
from raypipe.strategies.cost import cost_of
from raypipe.strategies.making import invalid
from raypipe.strategies.mean import mean_of
from raypipe.strategies.registry import strategy_named
from raypipe.strategies.setting import Settings, SettingValue
from raypipe.strategies.strategy import AnyStrategy, Composite, Fitted, Strategy

BEAM_CHOICES = ("beam_count", "sub_beams")
"""What a :class:`Variant` says of the beams that are read, beside the settings."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A strategy under one setting.

    Attributes:
        name: what its predictions are recorded under.
        strategy: its name in :data:`raypipe.strategies.STRATEGIES`.
        settings: of all strategies.
        sub_beams: look at the first so many beams by rank only; None for all. That is not what a
            search with so many beams would have found: see :mod:`raypipe.strategies.sweep`.
        beam_count: read the beams of the search that followed so many; None for the only search
            there is, of several the widest.

    Raises:
        ConfigError: for an unknown strategy, one that cannot be under these settings, or no beams
            at all.
    """

    name: str
    strategy: str
    settings: Settings
    sub_beams: int | None = None
    beam_count: int | None = None

    def __post_init__(self) -> None:
        declared = strategy_named(self.strategy)
        if isinstance(declared, Composite):
            refusal = declared.refusal(self.settings)
            if refusal is not None:
                raise ConfigError(f"strategy {self.strategy}: {refusal}")
        for part in self.parts:
            strategy_named(part)
        for field in BEAM_CHOICES:
            count = getattr(self, field)
            if count is not None and count < 1:
                raise ConfigError(f"{field} is 1 or more, got {count}")

    @property
    def base(self) -> Variant:
        """What a fitted strategy starts from, under the fitted one's name; of another, itself."""
        declared = strategy_named(self.strategy)
        if not isinstance(declared, Fitted):
            return self
        return replace(self, strategy=declared.base(self.settings))

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the strategies that it reads: those of a composite, else itself."""
        declared = strategy_named(self.strategy)
        if isinstance(declared, Strategy):
            return (self.strategy,)
        return self.base.parts if isinstance(declared, Fitted) else declared.parts(self.settings)

    @property
    def settings_used(self) -> tuple[str, ...]:
        """Names of the settings that its predictions depend on, beam choices included."""
        used = [name for part in self.parts for name in settings_of(strategy_named(part))]
        if self.base is not self:
            used += settings_of(strategy_named(self.base.strategy))
        own = () if self.parts == (self.strategy,) else settings_of(strategy_named(self.strategy))
        return tuple(dict.fromkeys((*used, *own)))

    def value(self, name: str) -> SettingValue | None:
        """Value of one of :attr:`settings_used`; None for a choice of beams that is not made."""
        return getattr(self, name) if name in BEAM_CHOICES else self.settings.by_name()[name]


@cache
def settings_of(strategy: AnyStrategy) -> tuple[str, ...]:
    """Names of a strategy's own settings; of one that reads beams, beam choices first."""
    reads_beams = isinstance(strategy, Strategy) and "beams" in strategy.questions
    names = tuple(setting.name for setting in strategy.settings)
    return (*BEAM_CHOICES, *names) if reads_beams else names


def predict(
    hypotheses: Sequence[Hypothesis],
    strategies: Sequence[str],
    labels: LabelSet,
    emotion_tokens: EmotionTokens,
    settings: Settings,
) -> list[Prediction]:
    """Predictions of several strategies from what a model answered about one utterance.

    Args:
        hypotheses: of every kind, search and window, in any order.
        strategies: names from :data:`raypipe.strategies.STRATEGIES`.
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
        ...                       EmotionTokens((), (), ()), Settings())
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
    questions: Sequence[AskedQuestion] = (),
    options: tuple[Option, ...] = (),
) -> list[Prediction]:
    """:func:`predict` under several settings; every text is parsed once for all of them.

    Args:
        hypotheses: of every kind, search and window, in any order.
        variants: strategies with their settings.
        labels: the K labels every ``probs`` is aligned with.
        emotion_tokens: the tokens that :attr:`Hypothesis.emotion_logits` is aligned with.
        questions: what was asked about the utterance; a strategy whose question failed is
            invalid, with the reason ``failed``.
        options: that the question offered; none for another form than closed.

    Returns:
        One prediction per variant, in order, recorded under the variant's name. That of a fitted
        strategy is invalid, ``not_fitted``: see :mod:`raypipe.strategies.fitting`.

    Raises:
        ValueError: as :func:`predict`.
    """
    reader = _Reader(prepare(hypotheses, labels, emotion_tokens, questions, options))
    return [reader.predict(variant) for variant in variants]


class _Reader:
    """Predictions of one utterance; what several variants share is worked out once."""

    def __init__(self, windows: Windows) -> None:
        self._windows = windows
        self._known: dict[tuple[object, ...], Prediction] = {}

    def predict(self, variant: Variant) -> Prediction:
        declared = strategy_named(variant.strategy)
        if isinstance(declared, Strategy):
            return replace(self._plain(declared, variant), strategy=variant.name)
        if isinstance(declared, Fitted):  # one utterance is nothing to fit to
            return replace(invalid("not_fitted"), strategy=variant.name)
        chosen, names = declared.predict(
            variant.settings.declared(*declared.settings),
            lambda part: self._plain(_plain_strategy(part), variant),
        )
        read = [_plain_strategy(name) for name in names]
        cost = cost_of(read, self._views(variant, *read))
        return replace(
            chosen,
            strategy=variant.name,
            model_tokens=cost.model_tokens,
            verifier_calls=cost.verifier_calls,
        )

    def _plain(self, strategy: Strategy, variant: Variant) -> Prediction:
        # All that its predictions depend on, from its declaration: nothing to forget here.
        key = (strategy.name, *(variant.value(name) for name in settings_of(strategy)))
        if strategy.instead:  # it may read beams after all
            key = (*key, variant.beam_count)
        if key not in self._known:
            views = self._views(variant, strategy)
            cost = cost_of([strategy], views)
            self._known[key] = replace(
                mean_of(
                    [_window_prediction(strategy, view) for view in views],
                    self._windows.weights,
                    "moments",
                ),
                model_tokens=cost.model_tokens,
                verifier_calls=cost.verifier_calls,
            )
        return self._known[key]

    def _views(self, variant: Variant, *strategies: Strategy) -> list[WindowAnswers]:
        """The answers as these strategies see them: under the settings that they declare."""
        declared = [setting for strategy in strategies for setting in strategy.settings]
        settings = variant.settings.declared(*declared)
        return [
            answers.view(settings, variant.beam_count, variant.sub_beams)
            for answers in self._windows.answers
        ]


def _plain_strategy(name: str) -> Strategy:
    strategy = strategy_named(name)
    assert isinstance(strategy, Strategy)  # a composite's settings refuse another
    return strategy


def _window_prediction(strategy: Strategy, answers: WindowAnswers) -> Prediction:
    if any(answers.has_failed(question) for question in strategy.questions):
        return invalid("failed")
    return strategy.predict(answers)
