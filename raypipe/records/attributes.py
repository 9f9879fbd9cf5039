"""Records of dimensional labels: arousal, valence and dominance."""

from __future__ import annotations

from dataclasses import dataclass

ATTRIBUTES = ("arousal", "valence", "dominance")
"""Names of the attributes, in the order of every table."""

Scale = tuple[float, float]
"""Lowest and highest number of a scale of ratings."""


@dataclass(frozen=True, slots=True)
class AttributeScales:
    """The scale that a model is asked on, and that of the corpus.

    Attributes:
        asked: that the prompt states.
        corpus: that the annotators' ratings are on.
    """

    asked: Scale
    corpus: Scale

    def on_corpus(self, rating: float) -> float:
        """A rating on the asked scale, mapped linearly to the corpus's.

        Example:
            >>> AttributeScales((1.0, 7.0), (1.0, 5.0)).on_corpus(4.0)
            3.0
        """
        low, high = self.asked
        first, last = self.corpus
        return first + (rating - low) * (last - first) / (high - low)


@dataclass(frozen=True, slots=True)
class AttributeAnswer:
    """What a model says of an utterance's arousal, valence and dominance.

    Attributes:
        ratings: in the order of :data:`ATTRIBUTES`; None where the answer does not give all three.
        reason: why there are none, a short stable name; None where there are.
    """

    ratings: tuple[float, float, float] | None
    reason: str | None = None
