"""What a run must ask a model for its strategies, and of which utterances.

``adaptive`` predicts with a cheap strategy and, only where that prediction is ambiguous or invalid,
with an expensive one. A run that has no other use for the expensive hypotheses saves asking for
them::

    asked = needs(config.strategies, settings.adaptive)
    ... ask asked.every of all utterances ...
    ambiguous = [is_ambiguous(heard, labels, emotion_tokens, settings) for heard in hypotheses]
    ... ask asked.ambiguous of those, unless it is empty ...

What ``adaptive`` predicts later, from all hypotheses of an utterance, follows the very same rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raypipe.errors import ConfigError
from raypipe.labels import LabelSet
from raypipe.records import EmotionTokens, Hypothesis
from raypipe.strategies import Variant, predict_variants
from raypipe.strategies.rules import NEEDS, Question, escalates
from raypipe.strategies.settings import AdaptiveSettings, AggregationSettings

__all__ = ["Asked", "Question", "is_ambiguous", "needs"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What must be asked for a run's strategies.

    Attributes:
        every: of every utterance.
        ambiguous: beside that, of the utterances that :func:`is_ambiguous` finds; nothing that is
            in ``every``, and empty where there is nothing to be saved. ``verifier`` may stand
            here while the ``beams`` that it judges stand in ``every``.
    """

    every: frozenset[Question]
    ambiguous: frozenset[Question]


def needs(strategies: Sequence[str], adaptive: AdaptiveSettings) -> Asked:
    """What must be asked of every utterance, and what of the ambiguous ones only.

    Args:
        strategies: names from :data:`raypipe.strategies.STRATEGIES`.
        adaptive: read only if ``adaptive`` is among them.

    Raises:
        ConfigError: for an unknown strategy, ``adaptive``'s cheap and expensive one included.

    Example:
        >>> asked = needs(["greedy", "adaptive"], AdaptiveSettings("greedy", "w_alm_v", 1.0))
        >>> sorted(asked.every), sorted(asked.ambiguous)
        (['greedy'], ['beams', 'verifier'])
        >>> sorted(needs(["adaptive", "w_alm_v"], AdaptiveSettings("greedy", "cot")).ambiguous)
        ['cot']
    """
    plain = [name for name in strategies if name != "adaptive"]
    rare = []
    if "adaptive" in strategies:
        plain.append(adaptive.cheap)
        rare.append(adaptive.expensive)
    every = _union(plain)
    return Asked(every, _union(rare) - every)


def _union(strategies: Sequence[str]) -> frozenset[Question]:
    unknown = [name for name in strategies if name not in NEEDS]
    if unknown:
        raise ConfigError(f"unknown strategy {unknown[0]!r}; known: {', '.join(NEEDS)}, adaptive")
    return frozenset[Question]().union(*(NEEDS[name] for name in strategies))


def is_ambiguous(
    hypotheses: Sequence[Hypothesis],
    labels: LabelSet,
    emotion_tokens: EmotionTokens,
    settings: AggregationSettings,
    beam_count: int | None = None,
) -> bool:
    """Whether ``adaptive`` escalates for an utterance, from what its cheap strategy reads.

    Args:
        hypotheses: of one utterance, of all its windows, under one model and prompt. What the
            cheap strategy does not read may be missing or be there, it makes no difference.
        labels: the K labels.
        emotion_tokens: the tokens that :attr:`Hypothesis.emotion_logits` is aligned with.
        settings: of the aggregation; ``settings.adaptive`` says which strategy is the cheap one,
            and the threshold.
        beam_count: of the search whose beams a cheap ``bon`` or ``w_bon`` reads, see
            :class:`raypipe.strategies.Variant`.

    Returns:
        True if the cheap prediction's entropy lies above the threshold, or if it is invalid.

    Raises:
        ConfigError: for an unknown cheap strategy.
        ValueError: if logits are not aligned with their hypothesis or ``emotion_tokens``.
    """
    cheap = settings.adaptive.cheap
    variant = Variant(cheap, cheap, settings, beam_count=beam_count)
    (prediction,) = predict_variants(hypotheses, [variant], labels, emotion_tokens)
    return escalates(prediction, settings.adaptive.threshold)
