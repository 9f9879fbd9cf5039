"""What the objects of one model and prompt hold, counted object by object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raypipe.labels import LabelSet
from raypipe.metrics.bootstrap import id_hashes
from raypipe.metrics.summary import CorpusFrame
from raypipe.reporting.errors import ErrorTally
from raypipe.reporting.run.digest import Digest, digest_predictions
from raypipe.runtime.finish.groups import ObjectGroup, read_rows
from raypipe.store.location import Location

_NO_IDS: NDArray[np.uint64] = np.empty(0, np.uint64)

KeyT = TypeVar("KeyT")


@dataclass(frozen=True, slots=True)
class CellTally:
    """What ``predictions/`` and ``errors/`` hold of one model and prompt.

    Attributes:
        ids: hashes of the predicted utterances, once for every object with them.
        predicted: number of predicted utterances, each once, wherever it stands; 0 until all
            objects are :meth:`counted`.
        valid: valid rows by strategy.
        invalid: the others.
        splits: predicted utterances by split.
        digest: sums for the report.
        errors: what failed.
    """

    ids: NDArray[np.uint64] = field(default_factory=lambda: _NO_IDS)
    predicted: int = 0
    valid: Mapping[str, int] = field(default_factory=dict)
    invalid: Mapping[str, int] = field(default_factory=dict)
    splits: Mapping[str | None, int] = field(default_factory=dict)
    digest: Digest = field(default_factory=Digest)
    errors: ErrorTally = field(default_factory=ErrorTally)

    @classmethod
    def of_predictions(cls, predictions: pa.Table, run: str, labels: LabelSet) -> CellTally:
        """Of a ``predictions/`` object.

        Args:
            predictions: its rows.
            run: short id of the run; rows of another one do not count.
            labels: that its distributions are aligned with.
        """
        own = predictions.filter(pc.equal(predictions["run"], run))
        by = own.group_by(["strategy", "valid"], use_threads=False).aggregate([([], "count_all")])
        rows = list(zip(*(by[name].to_pylist() for name in by.column_names), strict=True))
        every = own.group_by(["utterance_id", "split"], use_threads=False).aggregate([])
        return cls(
            ids=id_hashes(every["utterance_id"].to_pylist()),
            valid={strategy: number for strategy, valid, number in rows if valid},
            invalid={strategy: number for strategy, valid, number in rows if not valid},
            splits=Counter(every["split"].to_pylist()),
            digest=digest_predictions(predictions, labels),
        )

    def merge(self, other: CellTally) -> CellTally:
        """What both hold; this one's rows stand before the other's."""
        return CellTally(
            ids=np.concatenate([self.ids, other.ids]),
            valid=_sum(self.valid, other.valid),
            invalid=_sum(self.invalid, other.invalid),
            splits=_sum(self.splits, other.splits),
            digest=self.digest.merge(other.digest),
            errors=self.errors.merge(other.errors),
        )

    def counted(self) -> CellTally:
        """The tally of all objects: its utterances are counted, and their ids dropped."""
        return replace(self, ids=_NO_IDS, predicted=int(np.unique(self.ids).size))


def _sum(left: Mapping[KeyT, int], right: Mapping[KeyT, int]) -> Mapping[KeyT, int]:
    return {key: left.get(key, 0) + right.get(key, 0) for key in {**left, **right}}


@dataclass(frozen=True, slots=True)
class CountedCell:
    """What was found in the objects of one model and prompt.

    Attributes:
        groups: of its objects.
        tally: of all of them.
        frames: what metrics need of the whole corpus, under every set of labels that it is
            measured against; none where there are no metrics to come.
    """

    groups: tuple[ObjectGroup, ...]
    tally: CellTally
    frames: tuple[CorpusFrame, ...] = ()


def errors_in(tables: Location, group: ObjectGroup, run: str) -> CellTally:
    """What a group's ``errors/`` objects hold; rows of another run do not count."""
    tally = ErrorTally()
    for name in group.errors:
        rows = read_rows(tables, [name])
        tally = tally.merge(ErrorTally.of(rows.filter(pc.equal(rows["run"], run))))
    return CellTally(errors=tally)
