"""The rows of ``predictions/`` as arrays: one group per (model, prompt), one line per utterance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raypipe.errors import AccountingError
from raypipe.labels import LabelSet
from raypipe.metrics import attributes
from raypipe.metrics.bootstrap import id_hashes
from raypipe.metrics.columns import column_values
from raypipe.metrics.registry import COSTS, UNCERTAINTY_COLUMNS
from raypipe.metrics.utterances import Utterances
from raypipe.votes import AnnotatorLabels

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]

ANNOTATOR_COLUMNS: Mapping[AnnotatorLabels, str] = {
    "primary": "votes_primary",
    "primary+secondary": "votes_union",
}
"""The column of ``predictions/`` that holds such labels."""


@dataclass(frozen=True)
class Group:
    """All predictions of one model and prompt.

    Attributes:
        predictions: strategy -> probabilities, shape ``(utterances, labels)``; NaN rows where
            invalid.
        present: strategy -> whether the table has a row for the utterance, ``(utterances,)``.
        uncertainty: strategy -> :data:`~raypipe.metrics.registry.UNCERTAINTY_COLUMNS`, shape
            ``(utterances, columns)``, NaN where unknown; without the strategies that know none.
        costs: strategy -> :data:`~raypipe.metrics.registry.COSTS`, shape
            ``(utterances, costs)``, NaN where unknown; without the strategies that know none.
        label_sets: strategy -> whether a label is in its set, shape ``(utterances, labels)``;
            without the strategies that state none.
    """

    model: str
    prompt: str
    utterances: Utterances
    predictions: dict[str, Array]
    present: dict[str, Mask]
    uncertainty: dict[str, Array]
    costs: dict[str, Array]
    label_sets: dict[str, Mask]

    def take(self, rows: Indices) -> Group:
        """The group's utterances at ``rows``."""
        return Group(
            self.model,
            self.prompt,
            self.utterances.take(rows),
            {name: probs[rows] for name, probs in self.predictions.items()},
            {name: present[rows] for name, present in self.present.items()},
            {name: values[rows] for name, values in self.uncertainty.items()},
            {name: values[rows] for name, values in self.costs.items()},
            {name: inside[rows] for name, inside in self.label_sets.items()},
        )


def read_utterances(
    table: pa.Table,
    labels: LabelSet,
    annotator_labels: AnnotatorLabels = "primary",
    columns: Sequence[str] = (),
) -> Utterances:
    """The distinct utterances of a ``predictions/`` table, in order of first appearance.

    Args:
        table: rows of ``predictions/``.
        labels: the K labels.
        annotator_labels: which of the annotators' labels a prediction may match.
        columns: names of the columns that the corpus is sliced by.

    Raises:
        AccountingError: if a soft label does not have K entries, a plurality is no label, or an
            earlier version wrote the table, without the annotators' primary labels.
    """
    table = table.combine_chunks()
    _, first = np.unique(_codes(table["utterance_id"]), return_index=True)
    chosen = table.take(pa.array(np.sort(first)))
    annotators = ANNOTATOR_COLUMNS[annotator_labels]
    if annotators not in table.column_names:
        raise AccountingError(
            f"predictions have no column {annotators}: an earlier version wrote them. "
            "raypipe reaggregate writes them again from the run's generations."
        )
    ratings = _numbers(chosen, (*attributes.TRUTH, *attributes.PREDICTED))
    return Utterances(
        hashes=id_hashes(chosen["utterance_id"].to_pylist()),
        truth=_matrix(chosen["soft_label"], labels, "soft_label"),
        plurality=_plurality(chosen["plurality"], labels),
        union=_union(chosen[annotators], labels),
        n_votes=np.asarray(pc.fill_null(chosen["n_votes"], 0).to_numpy(), dtype=np.int64),
        splits=chosen["split"].to_pylist(),
        speakers=chosen["speaker"].to_pylist(),
        columns={name: column_values(chosen, name).to_pylist() for name in columns},
        ratings=ratings,
        asked=~np.isnan(ratings[:, 3:]).any(axis=1) | _has_reason(chosen),
    )


def read_groups(
    table: pa.Table,
    labels: LabelSet,
    annotator_labels: AnnotatorLabels = "primary",
    columns: Sequence[str] = (),
) -> Iterator[Group]:
    """Cut a ``predictions/`` table into its (model, prompt) groups, in sorted order.

    Args:
        table: rows of ``predictions/``.
        labels: the K labels.
        annotator_labels: which of the annotators' labels a prediction may match.
        columns: names of the columns that the corpus is sliced by.

    Raises:
        AccountingError: if an utterance has two rows of one strategy, or a list is not aligned
            with the labels.
    """
    table = table.combine_chunks()
    keys = list(zip(table["model"].to_pylist(), table["prompt"].to_pylist(), strict=True))
    for model, prompt in sorted(set(keys)):
        rows = np.array([key == (model, prompt) for key in keys])
        part = table.filter(pa.array(rows))
        utterances = read_utterances(part, labels, annotator_labels, columns)
        yield _group(model, prompt, part, labels, utterances)


def _group(
    model: str, prompt: str, table: pa.Table, labels: LabelSet, utterances: Utterances
) -> Group:
    line_of = _codes(table["utterance_id"])  # codes follow first appearance, as the lines do
    probs = _matrix(table["probs"], labels, "probs")
    strategy_of = np.array(table["strategy"].to_pylist(), dtype=object)
    predictions: dict[str, Array] = {}
    present: dict[str, Mask] = {}
    parts = _numbers(table, UNCERTAINTY_COLUMNS)
    uncertainty: dict[str, Array] = {}
    paid = _numbers(table, COSTS)
    costs: dict[str, Array] = {}
    inside = _label_sets(table, labels)
    label_sets: dict[str, Mask] = {}
    for strategy in sorted(set(strategy_of.tolist())):
        rows = np.flatnonzero(strategy_of == strategy)
        lines = line_of[rows]
        if np.unique(lines).size != lines.size:
            raise AccountingError(f"{model}, {prompt}: an utterance has two rows of {strategy}")
        predictions[strategy] = np.full(utterances.truth.shape, np.nan)
        predictions[strategy][lines] = probs[rows]
        present[strategy] = np.zeros(utterances.hashes.size, dtype=np.bool_)
        present[strategy][lines] = True
        for kept, values in ((uncertainty, parts), (costs, paid)):
            if not np.isnan(values[rows]).all():
                kept[strategy] = np.full((utterances.hashes.size, values.shape[1]), np.nan)
                kept[strategy][lines] = values[rows]
        if inside[rows].any():
            label_sets[strategy] = np.zeros(utterances.truth.shape, dtype=np.bool_)
            label_sets[strategy][lines] = inside[rows]
    return Group(model, prompt, utterances, predictions, present, uncertainty, costs, label_sets)


def _label_sets(table: pa.Table, labels: LabelSet) -> Mask:
    """Whether a label is in a row's set; none in a row, or an older table, without one."""
    if "label_set" not in table.column_names:
        return np.zeros((table.num_rows, len(labels)), dtype=np.bool_)
    return _union(table["label_set"], labels)


def _has_reason(table: pa.Table) -> Mask:
    """Rows whose answer about attributes is invalid, with a reason."""
    if attributes.REASON not in table.column_names:
        return np.zeros(table.num_rows, dtype=np.bool_)
    return np.array([reason is not None for reason in table[attributes.REASON].to_pylist()], bool)


def _numbers(table: pa.Table, names: Sequence[str]) -> Array:
    """Columns side by side, shape ``(rows, columns)``, NaN for nulls and where there is none."""
    numbers = np.full((table.num_rows, len(names)), np.nan)
    for place, name in enumerate(names):
        if name in table.column_names:
            column = table[name]
            if pa.types.is_boolean(column.type):
                column = column.cast(pa.int8())
            numbers[:, place] = column.cast(pa.float64()).fill_null(np.nan).to_numpy()
    return numbers


def _codes(column: pa.ChunkedArray) -> Indices:
    """Integer codes in order of first appearance."""
    encoded = pa.array(column.to_pylist(), type=pa.string()).dictionary_encode()
    return np.asarray(encoded.indices.to_numpy(zero_copy_only=False), dtype=np.int64)


def _flat(column: pa.ChunkedArray) -> pa.Array:
    """The column as one array."""
    if isinstance(column, pa.ChunkedArray):
        return pa.concat_arrays(column.chunks) if column.num_chunks else column.combine_chunks()
    return column


def _matrix(column: pa.ChunkedArray, labels: LabelSet, name: str) -> Array:
    """A list column as ``(rows, labels)``, NaN rows for nulls."""
    lists = _flat(column)
    matrix = np.full((len(lists), len(labels)), np.nan)
    valid = np.asarray(lists.is_valid().to_numpy(zero_copy_only=False), dtype=np.bool_)
    if not valid.any():
        return matrix
    lengths = set(pc.unique(pc.list_value_length(lists.drop_null())).to_pylist())
    if lengths != {len(labels)}:
        raise AccountingError(f"{name} has {sorted(lengths)} entries for {len(labels)} labels")
    flat = lists.drop_null().flatten().to_numpy(zero_copy_only=False)
    matrix[valid] = np.asarray(flat, dtype=np.float64).reshape(-1, len(labels))
    return matrix


def _plurality(column: pa.ChunkedArray, labels: LabelSet) -> Indices:
    names = column.to_pylist()
    unknown = {name for name in names if name is not None} - set(labels.names)
    if unknown:
        raise AccountingError(f"plurality {sorted(unknown)} is not among the labels")
    codes = {name: code for code, name in enumerate(labels.names)}
    return np.array([-1 if name is None else codes[name] for name in names], dtype=np.int64)


def _union(column: pa.ChunkedArray, labels: LabelSet) -> Mask:
    """Whether each label is listed; votes outside the label set ("other") match no prediction."""
    lists = _flat(column)
    union = np.zeros((len(lists), len(labels)), dtype=np.bool_)
    codes = {name: code for code, name in enumerate(labels.names)}
    for row, names in enumerate(lists.to_pylist()):
        for name in names or ():
            if name in codes:
                union[row, codes[name]] = True
    return union
