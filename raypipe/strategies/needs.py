"""What a run must ask a model for its strategies, and of which utterances.

A composite strategy such as ``adaptive`` predicts with a cheap strategy and, only where that
prediction is ambiguous or invalid, with an expensive one. A run that has no other use for the
expensive answers saves asking for them::

    asked = needs(config.strategies, settings, offered)
    ... ask asked.every of all utterances ...
    ambiguous = [is_ambiguous(answers, ...) for answers in hypotheses]
    ... ask asked.ambiguous of those, unless it is empty ...

What the strategy predicts later, from all hypotheses of an utterance, follows the very same rule.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from raypipe.labels import LabelSet
from raypipe.questions import Asked
from raypipe.records import AskedQuestion, EmotionTokens, Hypothesis
from raypipe.strategies.reading import Variant, predict_variants
from raypipe.strategies.registry import strategy_named
from raypipe.strategies.setting import Settings
from raypipe.strategies.strategy import Composite, Fitted, Strategy


def needs(strategies: Sequence[str], settings: Settings, offered: Collection[str]) -> Asked:
    """What must be asked of every utterance, and what of the ambiguous ones only.

    Args:
        strategies: names from :data:`raypipe.strategies.STRATEGIES`.
        settings: of which composites read theirs.
        offered: names of the questions that the run can ask.

    Raises:
        ConfigError: for an unknown strategy, parts of composites included.

    Example:
        >>> settings = Settings(cheap="greedy", expensive="w_alm_v")
        >>> asked = needs(["greedy", "adaptive"], settings, ["greedy", "beams", "verifier"])
        >>> sorted(asked.every), sorted(asked.ambiguous)
        (['greedy'], ['beams', 'verifier'])
    """
    always: list[Strategy] = []
    rare: list[Strategy] = []
    for strategy in _unfitted(strategies, settings):
        if isinstance(strategy, Strategy):
            always.append(strategy)
        else:
            first, *rest = parts_of(strategy, settings)
            always.append(first)
            (always if strategy.is_needed is None else rare).extend(rest)
    every = _questions(always, offered)
    return Asked(every, _questions(rare, offered) - every)


def parts_of(strategy: Composite, settings: Settings) -> tuple[Strategy, ...]:
    """The strategies that a composite reads under some settings.

    Raises:
        ConfigError: for an unknown one, or one that is a composite itself.
    """
    parts = [strategy_named(name) for name in strategy.parts(settings)]
    return tuple(part for part in parts if isinstance(part, Strategy))


def used_strategies(strategies: Sequence[str], settings: Settings) -> tuple[str, ...]:
    """Names of the strategies, and of those that others among them read, each once."""
    used: list[str] = []
    for name, strategy in zip(strategies, _unfitted(strategies, settings), strict=True):
        used += [name, strategy.name]
        if isinstance(strategy, Composite):
            used += [part.name for part in parts_of(strategy, settings)]
    return tuple(dict.fromkeys(used))


def _unfitted(strategies: Sequence[str], settings: Settings) -> list[Strategy | Composite]:
    """The strategies, with its base in the place of a fitted one."""
    unfitted: list[Strategy | Composite] = []
    for strategy in map(strategy_named, strategies):
        own = strategy_named(strategy.base(settings)) if isinstance(strategy, Fitted) else strategy
        assert not isinstance(own, Fitted)  # the setting that names a base refuses one
        unfitted.append(own)
    return unfitted


def _questions(strategies: Sequence[Strategy], offered: Collection[str]) -> frozenset[str]:
    return frozenset(question for strategy in strategies for question in strategy.asked(offered))


def is_ambiguous(
    hypotheses: Sequence[Hypothesis],
    strategies: Sequence[str],
    labels: LabelSet,
    emotion_tokens: EmotionTokens,
    settings: Settings,
    beam_count: int | None = None,
    questions: Sequence[AskedQuestion] = (),
) -> bool:
    """Whether a composite strategy looks at an utterance again, from what its first part reads.

    Args:
        hypotheses: of one utterance, of all its windows, under one model and prompt. What the
            first part does not read may be missing or be there, it makes no difference.
        strategies: of the run.
        labels: the K labels.
        emotion_tokens: the tokens that :attr:`Hypothesis.emotion_logits` is aligned with.
        settings: of the aggregation.
        beam_count: of the search whose beams a cheap ``bon`` or ``w_bon`` reads, see
            :class:`raypipe.strategies.Variant`.
        questions: what was asked about the utterance.

    Returns:
        True if any composite among the strategies needs its other parts.

    Raises:
        ConfigError: for an unknown strategy.
        ValueError: if logits are not aligned with their hypothesis or ``emotion_tokens``.
    """
    for strategy in _unfitted(strategies, settings):
        if isinstance(strategy, Composite) and strategy.is_needed is not None:
            cheap = strategy.parts(settings)[0]
            variant = Variant(cheap, cheap, settings, beam_count=beam_count)
            (prediction,) = predict_variants(
                hypotheses, [variant], labels, emotion_tokens, questions
            )
            if strategy.is_needed(settings, prediction):
                return True
    return False
