"""Sums over the predictions table, which merge to the same bits however the rows are cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raypipe.errors import ConfigError
from raypipe.labels import LabelSet
from raypipe.metrics.classification import dominant_shares
from raypipe.metrics.exact import SCALE, to_units
from raypipe.reporting.run.scores import Approach
from raypipe.reporting.text import clean

CONFIDENCE_BINS: Final = 10
# Reasons and rules may carry text that a model wrote: without a bound, one key per utterance.
MOST_KEYS: Final = 64
OTHER: Final = "(other)"

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(slots=True)
class PredictionTally:
    """Sums over the predictions of one approach.

    Attributes:
        predicted_sum: summed distributions of valid predictions, shape ``(labels,)``.
        truth_sum: summed soft labels, valid prediction or not, shape ``(labels,)``.
        labelled: number of utterances with a soft label.
        ties: number of labelled utterances without a plurality.
        tied: number of valid predictions in which several labels have the largest share.
        confusion: utterances by plurality (rows) and predicted label (columns),
            shape ``(labels, labels)``; labels that tie in a prediction have equal parts of it.
            Utterances without a plurality and invalid predictions are left out.
        confidence_n: of those utterances, by bin of the largest probability, shape ``(bins,)``.
        confidence_sum: their summed largest probability, shape ``(bins,)``.
        confidence_right: how many of them predict the plurality, ties in part, shape
            ``(bins,)``.
    """

    predicted_sum: Floats
    truth_sum: Floats
    confusion: Floats
    confidence_n: NDArray[np.int64]
    confidence_sum: Floats
    confidence_right: Floats
    rows: int = 0
    valid: int = 0
    labelled: int = 0
    ties: int = 0
    tied: int = 0
    rules: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    datasets: Counter[str] = field(default_factory=Counter)

    def merge(self, other: PredictionTally) -> PredictionTally:
        """The sums of both."""
        return PredictionTally(
            predicted_sum=self.predicted_sum + other.predicted_sum,
            truth_sum=self.truth_sum + other.truth_sum,
            confusion=self.confusion + other.confusion,
            confidence_n=self.confidence_n + other.confidence_n,
            confidence_sum=self.confidence_sum + other.confidence_sum,
            confidence_right=self.confidence_right + other.confidence_right,
            rows=self.rows + other.rows,
            valid=self.valid + other.valid,
            labelled=self.labelled + other.labelled,
            ties=self.ties + other.ties,
            tied=self.tied + other.tied,
            rules=_bounded_sum(self.rules, other.rules),
            reasons=_bounded_sum(self.reasons, other.reasons),
            datasets=_bounded_sum(self.datasets, other.datasets),
        )

    @classmethod
    def empty(cls, labels: int) -> PredictionTally:
        """A tally of no predictions."""
        return cls(
            predicted_sum=np.zeros(labels),
            truth_sum=np.zeros(labels),
            confusion=np.zeros((labels, labels)),
            confidence_n=np.zeros(CONFIDENCE_BINS, dtype=np.int64),
            confidence_sum=np.zeros(CONFIDENCE_BINS),
            confidence_right=np.zeros(CONFIDENCE_BINS),
        )


@dataclass(slots=True)
class Digest:
    """Sums over all predictions of a run.

    Attributes:
        tallies: by approach, in the order of the stream.
    """

    tallies: dict[Approach, PredictionTally] = field(default_factory=dict)

    @property
    def labelled(self) -> int:
        """Number of utterances with a soft label, by the approach that answered most of them."""
        return max((tally.labelled for tally in self.tallies.values()), default=0)

    def merge(self, other: Digest) -> Digest:
        """The sums of both, the approaches of this one first."""
        merged = dict(self.tallies)
        for approach, tally in other.tallies.items():
            known = merged.get(approach)
            merged[approach] = tally if known is None else known.merge(tally)
        return Digest(merged)


def digest_predictions(predictions: pa.Table | Iterable[pa.Table], labels: LabelSet) -> Digest:
    """Read the predictions once, table by table, and keep sums.

    Args:
        predictions: the table, whole or in parts of any size.
        labels: the label set its distributions are aligned with.

    Raises:
        ConfigError: if a distribution does not have one entry per label.
    """
    digest = Digest()
    tables = [predictions] if isinstance(predictions, pa.Table) else predictions
    for table in tables:
        for approach, rows in _by_approach(table):
            if approach not in digest.tallies:
                digest.tallies[approach] = PredictionTally.empty(len(labels))
            _add(digest.tallies[approach], _PredictionBatch(rows, labels))
    return digest


class _PredictionBatch:
    """The columns of one approach's rows as arrays, nulls as NaN, -1 or an empty text."""

    def __init__(self, table: pa.Table, labels: LabelSet) -> None:
        self.table = table
        self.probs = _matrix(table, "probs", len(labels))
        self.truth = _matrix(table, "soft_label", len(labels))
        stated = _column(table, "valid", pa.bool_()).fill_null(True)
        self.valid: Flags = np.asarray(stated) & ~np.isnan(self.probs[:, 0])
        self.labelled: Flags = ~np.isnan(self.truth[:, 0])
        self.plurality = _label_indices(table, "plurality", labels)
        self.choice = np.zeros(self.probs.shape)
        self.choice[self.valid] = dominant_shares(self.probs[self.valid])


def _by_approach(table: pa.Table) -> Iterator[tuple[Approach, pa.Table]]:
    names = ("model", "prompt", "strategy")
    keys = [_column(table, name, pa.string()).fill_null("") for name in names]
    groups = pa.table(keys, names=list(names)).group_by(list(names), use_threads=False)
    for group in groups.aggregate([]).to_pylist():
        model, prompt, strategy = (
            pc.equal(key, group[name]) for key, name in zip(keys, names, strict=True)
        )
        approach = Approach(*(clean(group[name]) for name in names))
        yield approach, table.filter(pc.and_(pc.and_(model, prompt), strategy))


def _add(tally: PredictionTally, batch: _PredictionBatch) -> None:
    tally.rows += len(batch.valid)
    tally.valid += int(batch.valid.sum())
    tally.labelled += int(batch.labelled.sum())
    tally.ties += int((batch.labelled & (batch.plurality < 0)).sum())
    tally.predicted_sum += _exact(batch.probs[batch.valid]).sum(axis=0)
    tally.truth_sum += _exact(batch.truth[batch.labelled]).sum(axis=0)
    _count(tally.rules, batch.table.filter(pa.array(batch.valid)), "parse_rule")
    _count(tally.reasons, batch.table.filter(pa.array(~batch.valid)), "invalid_reason")
    _count(tally.datasets, batch.table, "dataset")
    _add_decisions(tally, batch)


def _add_decisions(tally: PredictionTally, batch: _PredictionBatch) -> None:
    tally.tied += int((batch.valid & (batch.choice.max(axis=1) < 1.0)).sum())
    decided = batch.valid & (batch.plurality >= 0)
    truth, choice = batch.plurality[decided], _exact(batch.choice[decided])
    np.add.at(tally.confusion, truth, choice)
    confidence = batch.probs[decided].max(axis=1, initial=0.0)
    bins = np.minimum((confidence * CONFIDENCE_BINS).astype(np.int64), CONFIDENCE_BINS - 1)
    np.add.at(tally.confidence_n, bins, 1)
    np.add.at(tally.confidence_sum, bins, _exact(confidence))
    np.add.at(tally.confidence_right, bins, choice[np.arange(truth.size), truth])


def _exact(shares: Floats) -> Floats:
    """Numbers up to 1 as multiples of 2^-30: sums of 8 million of them are exact in float64."""
    return to_units(shares) / SCALE


def _count(counter: Counter[str], table: pa.Table, name: str) -> None:
    column = _column(table, name, pa.string())
    for entry in column.value_counts().to_pylist():
        _count_key(counter, clean(entry["values"]), entry["counts"])


def _count_key(counter: Counter[str], key: str, number: int) -> None:
    counter[key if key in counter or len(counter) < MOST_KEYS else OTHER] += number


def _bounded_sum(left: Counter[str], right: Counter[str]) -> Counter[str]:
    total = Counter(left)
    for key, number in right.items():
        _count_key(total, key, number)
    return total


def _column(table: pa.Table, name: str, kind: pa.DataType) -> pa.ChunkedArray:
    if name not in table.column_names:
        return pa.chunked_array([pa.nulls(table.num_rows, kind)])
    return table[name].cast(kind)


def _label_indices(table: pa.Table, name: str, labels: LabelSet) -> NDArray[np.int64]:
    column = _column(table, name, pa.string())
    indices = pc.index_in(column, value_set=pa.array(labels.names), skip_nulls=True)
    return np.asarray(indices.fill_null(-1).to_numpy(), dtype=np.int64)


def _matrix(table: pa.Table, name: str, labels: int) -> Floats:
    """Distributions as an array of shape ``(rows, labels)``, a null as a row of NaN."""
    column = _column(table, name, pa.list_(pa.float64()))
    matrix = np.full((table.num_rows, labels), np.nan)
    present = np.asarray(column.is_valid())
    if present.any():
        lists = column.drop_null()
        lengths = pc.unique(pc.list_value_length(lists)).to_pylist()
        if lengths != [labels]:
            raise ConfigError(
                f"column {name} of the predictions has distributions of {sorted(lengths)} "
                f"entries; the label set has {labels} labels"
            )
        flat = np.asarray(pc.list_flatten(lists).to_numpy(), dtype=np.float64)
        matrix[present] = flat.reshape(-1, labels)
    return matrix
