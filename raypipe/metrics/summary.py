"""Pass 1 of the reduce: what bins and baselines need of the whole corpus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raypipe.errors import AccountingError
from raypipe.labels import LabelSet
from raypipe.metrics import bins
from raypipe.metrics.attributes import Range, rating_range
from raypipe.metrics.baselines import leave_one_out
from raypipe.metrics.columns import SlicedColumn, sliced_column
from raypipe.metrics.rows import read_utterances
from raypipe.metrics.utterances import Utterances

Array = NDArray[np.float64]

_SHARE_UNITS = 2.0**31


@dataclass(frozen=True)
class CorpusFrame:
    """What pass 2 needs of pass 1; small, whatever the size of the corpus.

    Attributes:
        edges: of the equal-count ambiguity bins.
        median_entropy: of the soft labels, in bits; NaN without labels.
        prior: mean soft label, shape ``(labels,)``.
        speakers: hash of each speaker, ascending, shape ``(speakers,)``.
        prior_without: mean soft label without each speaker, shape ``(speakers, labels)``.
        columns: that the corpus is sliced by, and how.
        ratings: smallest and largest rating of arousal, valence and dominance; None without any.
        in_groups: whether a speaker has several utterances.
    """

    edges: bins.CountEdges
    median_entropy: float
    prior: Array
    speakers: NDArray[np.uint64]
    prior_without: Array
    columns: tuple[SlicedColumn, ...] = ()
    ratings: Range | None = None
    in_groups: bool = False

    def prior_for(self, utterances: Utterances) -> Array:
        """The leave-one-speaker-out prior of every utterance, shape ``(utterances, labels)``."""
        predictions = np.tile(self.prior, (utterances.hashes.size, 1))
        hashes = utterances.speaker_hashes
        place = np.searchsorted(self.speakers, hashes)
        place = np.minimum(place, max(self.speakers.size - 1, 0))
        if self.speakers.size:
            known = self.speakers[place] == hashes
            predictions[known] = self.prior_without[place[known]]
        return predictions


@dataclass(frozen=True)
class CorpusSummary:
    """Pass 1: the labelled utterances, once each, in 48 bytes (K = 6) per utterance.

    Attributes:
        hashes: of the utterance ids, ascending, shape ``(utterances,)``.
        entropy: of the soft labels, in bits, shape ``(utterances,)``.
        speakers: hash of each utterance's speaker, 0 where unknown, shape ``(utterances,)``.
        shares: soft labels in units of 2^-31, shape ``(utterances, labels)``.
        columns: that the corpus is sliced by, as text by name, one value per utterance.
        ratings: smallest and largest rating of arousal, valence and dominance, those of unlabelled
            utterances, too; None without any.
    """

    labels: LabelSet
    hashes: NDArray[np.uint64]
    entropy: Array
    speakers: NDArray[np.uint64]
    shares: NDArray[np.uint32]
    columns: Mapping[str, pa.Array] = field(default_factory=dict)
    ratings: Range | None = None

    @classmethod
    def from_table(
        cls, table: pa.Table, labels: LabelSet, columns: Sequence[str] = ()
    ) -> CorpusSummary:
        """Summarise a ``predictions/`` table; utterances without a soft label are left out.

        Args:
            table: rows of ``predictions/``, whole utterances.
            labels: the K labels.
            columns: names of the columns to slice by.

        Raises:
            AccountingError: if a soft label is not aligned with the labels.
        """
        every = read_utterances(table, labels, columns=columns)
        utterances = every.take(every.labelled)
        shares = np.rint(utterances.truth * _SHARE_UNITS).astype(np.uint32)
        return _distinct(
            labels,
            utterances.hashes,
            utterances.entropy,
            utterances.speaker_hashes,
            shares,
            {name: pa.array(texts, pa.string()) for name, texts in utterances.columns.items()},
            rating_range(every.ratings),
        )

    def merge(self, other: CorpusSummary) -> CorpusSummary:
        """The utterances of both; those in both (another model, another prompt) count once.

        Raises:
            AccountingError: for other labels, or one utterance with two soft labels.
        """
        return self.merge_all([self, other])

    @staticmethod
    def merge_all(parts: Sequence[CorpusSummary]) -> CorpusSummary:
        """Merge many at once: one sort instead of one per part."""
        labels = parts[0].labels
        if any(part.labels != labels for part in parts):
            raise AccountingError("summaries of different label sets cannot be merged")
        columns = parts[0].columns.keys()
        if any(part.columns.keys() != columns for part in parts):
            raise AccountingError("summaries of different columns cannot be merged")
        return _distinct(
            labels,
            np.concatenate([part.hashes for part in parts]),
            np.concatenate([part.entropy for part in parts]),
            np.concatenate([part.speakers for part in parts]),
            np.concatenate([part.shares for part in parts]),
            {name: pa.concat_arrays([part.columns[name] for part in parts]) for name in columns},
            rating_range(np.array([part.ratings for part in parts if part.ratings is not None])),
        )

    @cached_property
    def frame(self) -> CorpusFrame:
        """Bin edges, median and priors of the corpus."""
        units = self.shares.astype(np.int64)
        total, count = units.sum(axis=0), float(self.hashes.size)
        known = self.speakers != 0
        speakers, index = np.unique(self.speakers[known], return_inverse=True)
        own = np.zeros((speakers.size, len(self.labels)), dtype=np.int64)
        np.add.at(own, index, units[known])
        own_count = np.bincount(index, minlength=speakers.size).astype(np.float64)
        size = len(self.labels)
        return CorpusFrame(
            edges=bins.count_edges(self.entropy, self.hashes),
            median_entropy=float(np.median(self.entropy)) if count else float("nan"),
            prior=total / total.sum() if count else np.full(size, 1.0 / size),
            speakers=speakers,
            prior_without=leave_one_out(
                total.astype(np.float64), count, own.astype(np.float64), own_count
            ),
            columns=tuple(
                sliced_column(name, values, self.hashes, self.speakers)
                for name, values in self.columns.items()
            ),
            ratings=self.ratings,
            in_groups=bool((own_count > 1.0).any()),
        )


def _distinct(
    labels: LabelSet,
    hashes: NDArray[np.uint64],
    entropy: Array,
    speakers: NDArray[np.uint64],
    shares: NDArray[np.uint32],
    columns: Mapping[str, pa.Array],
    ratings: Range | None,
) -> CorpusSummary:
    order = np.argsort(hashes, kind="stable")
    first = np.ones(order.size, dtype=np.bool_)
    first[1:] = hashes[order][1:] != hashes[order][:-1]
    again = np.flatnonzero(~first)
    if (shares[order[again]] != shares[order[again - 1]]).any():
        raise AccountingError("an utterance has two different soft labels")
    kept = order[first]
    return CorpusSummary(
        labels,
        hashes[kept],
        entropy[kept],
        speakers[kept],
        shares[kept],
        {name: values.take(pa.array(kept)) for name, values in columns.items()},
        ratings,
    )
