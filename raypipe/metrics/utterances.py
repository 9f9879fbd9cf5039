"""What is known of the utterances themselves, whatever was predicted for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from raypipe.metrics.bootstrap import id_hashes
from raypipe.metrics.distribution import entropy_bits

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]

# Entropies are compared between passes over differently cut tables; this grid hides rounding.
_ENTROPY_GRID = 2.0**40


@dataclass(frozen=True)
class Utterances:
    """What is known of the utterances themselves.

    Attributes:
        hashes: of the ids, shape ``(utterances,)``.
        truth: soft labels, shape ``(utterances, labels)``; NaN rows where unlabelled.
        plurality: index of the single most-voted label, shape ``(utterances,)``; -1 for a tie or
            without votes.
        union: labels of the annotators that a prediction may match, shape
            ``(utterances, labels)``.
        n_votes: number of votes behind each soft label, shape ``(utterances,)``; 0 where unknown.
        splits: one per utterance.
        speakers: one per utterance.
        columns: of the corpus that it is sliced by, as text by name, one value per utterance.
        ratings: the annotators' arousal, valence and dominance, then the model's, shape
            ``(utterances, 6)``; NaN where unknown.
        asked: whether the model was asked for them, shape ``(utterances,)``.
    """

    hashes: NDArray[np.uint64]
    truth: Array
    plurality: Indices
    union: Mask
    n_votes: Indices
    splits: list[str | None]
    speakers: list[str | None]
    columns: Mapping[str, list[str | None]]
    ratings: Array
    asked: Mask

    @cached_property
    def plurality_matrix(self) -> Array:
        """The plurality as one-hot rows, all zero without one, shape ``(utterances, labels)``."""
        rows = np.flatnonzero(self.plurality >= 0)
        matrix = np.zeros(self.truth.shape)
        matrix[rows, self.plurality[rows]] = 1.0
        return matrix

    @cached_property
    def labelled(self) -> Mask:
        """Utterances with a soft label, shape ``(utterances,)``."""
        return np.asarray(~np.isnan(self.truth).any(axis=1))

    @cached_property
    def entropy(self) -> Array:
        """Entropy of the soft labels in bits, on a grid of 2^-40; NaN where unlabelled."""
        return np.asarray(np.rint(entropy_bits(self.truth) * _ENTROPY_GRID) / _ENTROPY_GRID)

    @cached_property
    def speaker_hashes(self) -> NDArray[np.uint64]:
        """Hash of every speaker, 0 where unknown, shape ``(utterances,)``."""
        known = sorted({name for name in self.speakers if name is not None})
        table = dict(zip(known, id_hashes(known).tolist(), strict=True))
        return np.array([table.get(name or "", 0) for name in self.speakers], dtype=np.uint64)

    @classmethod
    def concatenated(cls, parts: Sequence[Utterances]) -> Utterances:
        """The utterances of all parts, at least one, in their order."""
        return cls(
            np.concatenate([part.hashes for part in parts]),
            np.concatenate([part.truth for part in parts]),
            np.concatenate([part.plurality for part in parts]),
            np.concatenate([part.union for part in parts]),
            np.concatenate([part.n_votes for part in parts]),
            [split for part in parts for split in part.splits],
            [speaker for part in parts for speaker in part.speakers],
            {
                name: [value for part in parts for value in part.columns[name]]
                for name in parts[0].columns
            },
            np.concatenate([part.ratings for part in parts]),
            np.concatenate([part.asked for part in parts]),
        )

    def take(self, rows: Indices | Mask) -> Utterances:
        """The utterances at ``rows``."""
        index = np.arange(self.hashes.size)[rows]
        return Utterances(
            self.hashes[index],
            self.truth[index],
            self.plurality[index],
            self.union[index],
            self.n_votes[index],
            [self.splits[row] for row in index],
            [self.speakers[row] for row in index],
            {name: [values[row] for row in index] for name, values in self.columns.items()},
            self.ratings[index],
            self.asked[index],
        )
