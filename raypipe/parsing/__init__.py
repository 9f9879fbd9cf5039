"""From what a model wrote to a distribution over the label set, and the rule that read it."""

from __future__ import annotations

from raypipe.labels import LabelSet
from raypipe.parsing.amounts import number_in
from raypipe.parsing.parts import TextPart
from raypipe.parsing.plain_object import plain_object
from raypipe.parsing.reading import MAX_CHARACTERS, Reading, read_answer
from raypipe.parsing.reasons import REASONS, RULES
from raypipe.parsing.scores import parse_score
from raypipe.parsing.settling import MAX_DROPPED_SHARE, UNKNOWN_LABELS
from raypipe.records import Parsed

__all__ = [
    "MAX_CHARACTERS",
    "MAX_DROPPED_SHARE",
    "REASONS",
    "RULES",
    "UNKNOWN_LABELS",
    "Reading",
    "TextPart",
    "number_in",
    "parse_answer",
    "parse_score",
    "read_answer",
]


def parse_answer(
    text: str, labels: LabelSet, max_dropped_share: float = MAX_DROPPED_SHARE
) -> Parsed:
    """Read a model's answer as a distribution; invalid with a reason where it is none.

    Args:
        text: what the model wrote, reasoning and markdown included.
        labels: the K labels; words are matched through their aliases, ignoring case.
        max_dropped_share: most that labels outside the set may have of the answer, in [0, 1].

    Returns:
        Probabilities of shape ``(labels,)`` that sum to 1, and the rule that fired. Shares of
        several words of one label are added up; shares of unknown labels are dropped.

    Example:
        >>> emotions = LabelSet(("anger", "sadness"))
        >>> parse_answer('Low energy. {"angry": 0.25, "sad": 0.75}', emotions).probs
        array([0.25, 0.75])
        >>> parse_answer("Anger: 80%, Sadness: 20%", emotions).rule
        'percent_list'
        >>> parse_answer("Angry or sad.", emotions).invalid_reason
        'ambiguous'
    """
    plain = plain_object(text, labels)
    return read_answer(text, labels, max_dropped_share).parsed if plain is None else plain
