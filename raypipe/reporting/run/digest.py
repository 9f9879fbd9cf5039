"""Sums and example rows of the predictions table, taken in one pass."""

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
from raypipe.reporting.run.scores import Approach
from raypipe.reporting.text import clean

CONFIDENCE_BINS: Final = 10
# Reasons and rules may carry text that a model wrote: without a bound, one key per utterance.
MOST_KEYS: Final = 64
OTHER: Final = "(other)"

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ExampleUtterance:
    """One utterance that shows how predicted and annotated distributions compare.

    Attributes:
        rank: the value that the rule minimises, then the utterance id, so that the order of the
            stream does not decide.
        truth: soft label, shape ``(labels,)``, sums to 1.
        predicted: predicted distribution, shape ``(labels,)``, sums to 1.
        true_entropy: of ``truth``, in bits; NaN where the table has none.
    """

    rank: tuple[float, str]
    utterance_id: str
    dataset: str
    n_votes: int
    truth: Floats
    predicted: Floats
    js: float
    true_entropy: float


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
    """Sums over all predictions of a run, and the rows shown as examples.

    Attributes:
        tallies: by approach, in the order of the stream.
        examples: of the focus approach, by the rule that chose them.
    """

    tallies: dict[Approach, PredictionTally] = field(default_factory=dict)
    examples: dict[str, ExampleUtterance] = field(default_factory=dict)

    @property
    def labelled(self) -> int:
        """Number of utterances with a soft label, by the approach that answered most of them."""
        return max((tally.labelled for tally in self.tallies.values()), default=0)


def digest_predictions(
    predictions: pa.Table | Iterable[pa.Table],
    labels: LabelSet,
    *,
    focus: Approach | None = None,
    typical_js: float | None = None,
) -> Digest:
    """Read the predictions once, table by table, and keep sums and a handful of rows.

    Args:
        predictions: the table, whole or in parts of any size.
        labels: the label set its distributions are aligned with.
        focus: the approach whose examples are kept; None keeps none.
        typical_js: the example ``median`` is the utterance whose JS is closest to this value,
            normally the median from the metrics table; None keeps no such example.

    Raises:
        ConfigError: if a distribution does not have one entry per label.
    """
    digest = Digest()
    tables = [predictions] if isinstance(predictions, pa.Table) else predictions
    for table in tables:
        for approach, rows in _by_approach(table):
            if approach not in digest.tallies:
                digest.tallies[approach] = PredictionTally.empty(len(labels))
            batch = _PredictionBatch(rows, labels)
            _add(digest.tallies[approach], batch)
            if approach == focus:
                _keep_examples(digest.examples, batch, typical_js)
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
    tally.predicted_sum += batch.probs[batch.valid].sum(axis=0)
    tally.truth_sum += batch.truth[batch.labelled].sum(axis=0)
    _count(tally.rules, batch.table.filter(pa.array(batch.valid)), "parse_rule")
    _count(tally.reasons, batch.table.filter(pa.array(~batch.valid)), "invalid_reason")
    _count(tally.datasets, batch.table, "dataset")
    _add_decisions(tally, batch)


def _add_decisions(tally: PredictionTally, batch: _PredictionBatch) -> None:
    tally.tied += int((batch.valid & (batch.choice.max(axis=1) < 1.0)).sum())
    decided = batch.valid & (batch.plurality >= 0)
    truth, choice = batch.plurality[decided], batch.choice[decided]
    np.add.at(tally.confusion, truth, choice)
    confidence = batch.probs[decided].max(axis=1, initial=0.0)
    bins = np.minimum((confidence * CONFIDENCE_BINS).astype(np.int64), CONFIDENCE_BINS - 1)
    np.add.at(tally.confidence_n, bins, 1)
    np.add.at(tally.confidence_sum, bins, confidence)
    np.add.at(tally.confidence_right, bins, choice[np.arange(truth.size), truth])


def _keep_examples(
    kept: dict[str, ExampleUtterance], batch: _PredictionBatch, typical_js: float | None
) -> None:
    js = _numbers(batch.table, "js")
    entropy = _numbers(batch.table, "true_entropy")
    rules = {"best": js, "worst": -js, "most ambiguous": -entropy}
    if typical_js is not None:
        rules["median"] = np.abs(js - typical_js)
    eligible = batch.valid & batch.labelled & ~np.isnan(js)
    ids = _column(batch.table, "utterance_id", pa.string()).fill_null("")
    for rule, cost in rules.items():
        rows = np.flatnonzero(eligible & ~np.isnan(cost))
        if rows.size == 0:
            continue
        lowest = rows[cost[rows] == cost[rows].min()]
        row = min((int(index) for index in lowest), key=lambda index: str(ids[index]))
        rank = (float(cost[row]), str(ids[row]))
        if rule not in kept or rank < kept[rule].rank:
            kept[rule] = _example(batch, row, rank, float(js[row]), float(entropy[row]))


def _example(
    batch: _PredictionBatch, row: int, rank: tuple[float, str], js: float, true_entropy: float
) -> ExampleUtterance:
    return ExampleUtterance(
        rank=rank,
        utterance_id=clean(rank[1]),
        dataset=clean(_column(batch.table, "dataset", pa.string())[row].as_py() or ""),
        n_votes=int(_column(batch.table, "n_votes", pa.int64())[row].as_py() or 0),
        truth=batch.truth[row].copy(),
        predicted=batch.probs[row].copy(),
        js=js,
        true_entropy=true_entropy,
    )


def _count(counter: Counter[str], table: pa.Table, name: str) -> None:
    column = _column(table, name, pa.string())
    for entry in column.value_counts().to_pylist():
        key = clean(entry["values"])
        if key not in counter and len(counter) >= MOST_KEYS:
            key = OTHER
        counter[key] += entry["counts"]


def _column(table: pa.Table, name: str, kind: pa.DataType) -> pa.ChunkedArray:
    if name not in table.column_names:
        return pa.chunked_array([pa.nulls(table.num_rows, kind)])
    return table[name].cast(kind)


def _numbers(table: pa.Table, name: str) -> Floats:
    column = _column(table, name, pa.float64())
    return np.asarray(column.fill_null(np.nan).to_numpy(), dtype=np.float64)


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
