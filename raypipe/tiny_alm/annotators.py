"""Simulated annotators, who name one emotion, or two, of a mix of emotions.

Each annotator has a small bias and makes a few errors, so that ten of them agree on a pure emotion
and disagree the more the emotion is mixed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raypipe.records import Vote
from raypipe.tiny_alm.synth import EMOTIONS

POOL_SIZE = 24
VOTES_PER_CLIP = 10
_BIAS = 0.25
_SLIP = 0.02
_SECOND_LABEL_FLOOR = 0.3
_POOL_SEED = 1971

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Annotator:
    """One simulated annotator.

    Attributes:
        name: such as ``synth-a07``.
        bias: added to the log of every emotion's share, shape ``(emotions,)``.
        generosity: probability of naming a second emotion that is clearly there.
        emotions: their names.
    """

    name: str
    bias: Array
    generosity: float
    emotions: tuple[str, ...] = EMOTIONS

    def label_probabilities(self, mix: Array) -> Array:
        """Probabilities with which this annotator names each emotion.

        Args:
            mix: the emotion spoken, shape ``(..., emotions)``, summing to 1.

        Returns:
            Probabilities of the same shape.
        """
        weights = np.maximum(mix, 1e-9) * np.exp(self.bias)
        weights /= weights.sum(axis=-1, keepdims=True)
        probabilities: Array = (1.0 - _SLIP) * weights + _SLIP / len(self.bias)
        return probabilities

    def vote(self, mix: Array, rng: np.random.Generator) -> Vote:
        """Vote drawn from the label probabilities, sometimes with a second label."""
        probabilities = self.label_probabilities(mix)
        first = int(rng.choice(len(probabilities), p=probabilities))
        others = np.where(np.arange(len(probabilities)) == first, 0.0, probabilities)
        second = int(others.argmax())
        names_two = others[second] > _SECOND_LABEL_FLOOR and rng.random() < self.generosity
        labels = (first, second) if names_two else (first,)
        return Vote(self.name, tuple(self.emotions[number] for number in labels))


def annotator_pool() -> tuple[Annotator, ...]:
    """The :data:`POOL_SIZE` simulated annotators, the same at every call."""
    rng = np.random.default_rng(_POOL_SEED)
    return tuple(
        Annotator(
            name=f"synth-a{number:02d}",
            bias=rng.normal(0.0, _BIAS, len(EMOTIONS)),
            generosity=float(rng.uniform(0.0, 0.6)),
        )
        for number in range(POOL_SIZE)
    )


def collect_votes(
    mix: Array, pool: tuple[Annotator, ...], rng: np.random.Generator
) -> tuple[Vote, ...]:
    """Votes of :data:`VOTES_PER_CLIP` different annotators on one clip.

    Args:
        mix: the emotion spoken, shape ``(emotions,)``, summing to 1.
        pool: the annotators to choose from.
        rng: the only source of chance.
    """
    chosen = rng.choice(len(pool), VOTES_PER_CLIP, replace=False)
    return tuple(pool[number].vote(mix, rng) for number in np.sort(chosen))


def vote_shares(votes: tuple[Vote, ...]) -> tuple[float, ...]:
    """Share of the votes whose first label is each emotion, shape ``(emotions,)``."""
    firsts = [vote.labels[0] for vote in votes]
    return tuple(firsts.count(name) / len(firsts) for name in EMOTIONS)


def plurality(shares: tuple[float, ...]) -> str | None:
    """Emotion with the most votes, or None for a tie."""
    winners = [name for name, share in zip(EMOTIONS, shares, strict=True) if share == max(shares)]
    return winners[0] if len(winners) == 1 else None
