"""From ``predictions/`` to ``metrics/`` in two passes that merge in any order to the same bits.

Pass 1, :class:`raypipe.metrics.summary.CorpusSummary`: what bins and baselines need of the whole
corpus. Pass 2, :class:`MetricState`: exact integer sums per (model, prompt, strategy, slice) and
bootstrap replicate, see :mod:`raypipe.metrics.exact`. Neither knows where it runs.

All rows of an utterance under one model and prompt must stand in one table (a shard's object has
them all): paired differences are taken there.

Slices are those of :mod:`raypipe.metrics.slices`. Unlabelled utterances count only in
``invalid_rate`` of ``all`` and ``split=``, and in the costs of ``all``. Costs
(:mod:`raypipe.metrics.costs`) are given for ``all`` and the ambiguity bins.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raypipe.errors import AccountingError
from raypipe.labels import LabelSet
from raypipe.metrics import attributes
from raypipe.metrics.baselines import BASELINES, HUMANS, PRIOR
from raypipe.metrics.block import (
    is_compared,
    same_as,
    scored_strategies,
    spent_by,
)
from raypipe.metrics.bootstrap import REPLICATES, replicate_weights
from raypipe.metrics.columns import SlicedColumn, column_of
from raypipe.metrics.costs import cost_statistics
from raypipe.metrics.counted import counted_rows, predicted_values, stated_values
from raypipe.metrics.drawn import Units, drawn_hashes, with_ground
from raypipe.metrics.exact import BLOCK, SCALE, ValueCounts, to_units, weighted_sums
from raypipe.metrics.humans import halvings
from raypipe.metrics.metric_rows import Key, MetricRow, metric_rows
from raypipe.metrics.rest import of_speakers, rest_rows
from raypipe.metrics.rows import Group, read_groups
from raypipe.metrics.slice_sums import SliceWeights, slice_sums
from raypipe.metrics.slices import has_costs, is_bootstrapped, slices
from raypipe.metrics.statistics import (
    SWAP,
    difference_statistics,
    difference_summands,
    human_statistics,
    human_summands,
    named_sums,
    statistics,
    summands,
)
from raypipe.metrics.summary import CorpusFrame, CorpusSummary
from raypipe.metrics.sums import INVALID
from raypipe.records import Drawn
from raypipe.votes import AnnotatorLabels

__all__ = ["CorpusSummary", "MetricRow", "MetricState"]

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

PairKey = tuple[str, str, str, str, str]
"""(model, prompt, strategy, versus, slice), the strategies in alphabetical order."""

_Key = TypeVar("_Key")


@dataclass
class MetricState:
    """Pass 2: exact sums behind every metric, to be merged and then finished.

    Attributes:
        replicates: bootstrap replicates R; 0 for no intervals.
        seed: of the bootstrap.
        sums: per strategy and slice, shape ``(1 + R, columns)``, the unweighted sums first.
        differences: per pair and slice, shape ``(1 + R, columns)``.
        confusion: per strategy and slice, shape ``(labels, labels)``, rows are truth.
        costs: per strategy and slice, shape ``(1 + R, 2 * costs)``, see
            :mod:`raypipe.metrics.costs`.
        values: per strategy and slice, what medians and AUROCs need, by row of ``metrics/``.
        columns: that the corpus is sliced by.
        rated: sums of arousal, valence and dominance per slice, see
            :mod:`raypipe.metrics.attributes`.
        ratings: smallest and largest rating of them; None without any.
        drawn: what the replicates draw.
        in_groups: whether a speaker of the corpus has several utterances.
        units: speakers that are drawn, per model, prompt and slice; empty where utterances are.
    """

    labels: LabelSet
    replicates: int
    seed: int
    sums: dict[Key, Integers] = field(default_factory=dict)
    differences: dict[PairKey, Integers] = field(default_factory=dict)
    confusion: dict[Key, Integers] = field(default_factory=dict)
    costs: dict[Key, Integers] = field(default_factory=dict)
    values: dict[Key, dict[str, ValueCounts]] = field(default_factory=dict)
    columns: tuple[SlicedColumn, ...] = ()
    rated: dict[Key, Integers] = field(default_factory=dict)
    ratings: attributes.Range | None = None
    drawn: Drawn = "utterances"
    in_groups: bool = False
    units: dict[tuple[str, str, str], Units] = field(default_factory=dict)

    @classmethod
    def from_table(
        cls,
        table: pa.Table,
        frame: CorpusFrame,
        labels: LabelSet,
        *,
        replicates: int = REPLICATES,
        seed: int = 0,
        drawn: Drawn = "utterances",
        per_speaker: bool = False,
        compared: frozenset[tuple[str, str]] | None = None,
        annotator_labels: AnnotatorLabels = "primary",
        are_votes: bool = True,
    ) -> MetricState:
        """Sum up a ``predictions/`` table.

        Args:
            table: rows of ``predictions/``, whole utterances.
            frame: of the whole corpus; its columns are sliced by.
            labels: the K labels.
            replicates: bootstrap replicates.
            seed: of the bootstrap.
            drawn: what the replicates draw.
            per_speaker: also give ``speaker=`` slices, without intervals.
            compared: pairs of strategies, each in alphabetical order, whose paired differences
                are given; None for all. Those from the baselines always are.
            annotator_labels: which of the annotators' labels a prediction may match.
            are_votes: whether the soft labels are the shares of votes; a label table's are not,
                and have no human ceiling.

        Raises:
            AccountingError: if rows are doubled or not aligned with the labels.
        """
        if drawn == "speakers":
            columns = tuple(replace(column, of_speaker=True) for column in frame.columns)
            frame = replace(frame, columns=columns)
        state = cls(
            labels,
            replicates,
            seed,
            columns=frame.columns,
            ratings=frame.ratings,
            drawn=drawn,
            in_groups=frame.in_groups,
        )
        names = tuple(column.name for column in frame.columns)
        for group in read_groups(table, labels, annotator_labels, names):
            for start in range(0, group.utterances.hashes.size, BLOCK):
                rows = np.arange(start, min(start + BLOCK, group.utterances.hashes.size))
                state._add(
                    group.take(rows),
                    frame,
                    per_speaker=per_speaker,
                    compared=compared,
                    are_votes=are_votes,
                )
        return state

    def merge(self, other: MetricState) -> MetricState:
        """The sums of both; in whatever order states are merged, the bits are the same.

        Raises:
            AccountingError: if labels, replicates or seed differ.
        """
        if (self.labels, self.replicates, self.seed, self.drawn) != (
            other.labels,
            other.replicates,
            other.seed,
            other.drawn,
        ):
            raise AccountingError("states of different labels, replicates or seeds do not add up")
        merged = replace(
            self,
            sums=dict(self.sums),
            differences=dict(self.differences),
            confusion=dict(self.confusion),
            costs=dict(self.costs),
            values=dict(self.values),
            rated=dict(self.rated),
            units=dict(self.units),
        )
        _accumulate(merged.sums, other.sums)
        _accumulate(merged.differences, other.differences)
        _accumulate(merged.confusion, other.confusion)
        _accumulate(merged.costs, other.costs)
        _accumulate(merged.rated, other.rated)
        for key, values in other.values.items():
            merged._add_values(key, values)
        for place, units in other.units.items():
            merged.units[place] = units.merge(merged.units.get(place))
        return merged

    def finish(self) -> list[MetricRow]:
        """Every row of ``metrics/``, by model, prompt, strategy and slice; attributes last."""
        rows: list[MetricRow] = []
        known: dict[int, tuple[list[MetricRow], int]] = {}  # strategies may share their sums
        differences = self._difference_rows()
        from_rest = self._rest_rows()
        for key in sorted(self.sums):
            first = len(rows)
            sums = self.sums[key]
            if key[2] == HUMANS:
                named = named_sums(sums / SCALE, self.labels)
                rows += metric_rows(key, human_statistics(named))
            else:
                if id(sums) not in known:
                    named = named_sums(sums / SCALE, self.labels)
                    known[id(sums)] = metric_rows(key, statistics(named)), named.number(INVALID)
                shared, n_invalid = known[id(sums)]
                rows += _renamed(shared, key[2], None)
                rows += counted_rows(key, self.values[key], n_invalid)
            if key in self.costs:
                rows += metric_rows(key, cost_statistics(self.costs[key] / SCALE))
            rows += differences.get(key, ())
            rows[first:] = self._with_ground(key, rows[first:])
            rows += from_rest.get(key, ())
        for key in sorted(self.rated):
            assert self.ratings is not None  # else there are no sums
            rated = attributes.attribute_statistics(self.rated[key] / SCALE, self.ratings)
            rows += self._with_ground(key, metric_rows(key, rated))
        return rows

    def _with_ground(self, key: Key, rows: list[MetricRow]) -> list[MetricRow]:
        """Rows of a slice, without the intervals that would not hold for it."""
        column = column_of(self.columns, key[3])
        if column is not None and column.of_speaker:
            return of_speakers(rows, column)
        units = self.units.get((key[0], key[1], key[3]))
        return with_ground(rows, units, in_groups=self.in_groups)

    def _rest_rows(self) -> dict[Key, list[MetricRow]]:
        """Differences of every column's slices from the rest of the column."""
        blocks: dict[tuple[str, str, str, str], dict[str, Integers]] = defaultdict(dict)
        for (model, prompt, strategy, slice_name), sums in self.sums.items():
            column = column_of(self.columns, slice_name)
            if column is not None and strategy != HUMANS:
                blocks[model, prompt, strategy, column.name][slice_name] = sums
        rows: dict[Key, list[MetricRow]] = {}
        by_name = {column.name: column for column in self.columns}
        for (model, prompt, strategy, name), slices_of in blocks.items():
            approach = model, prompt, strategy
            rows |= rest_rows(approach, by_name[name], slices_of, self.labels)
        return rows

    def _difference_rows(self) -> dict[Key, list[MetricRow]]:
        """Paired differences of every strategy, from its own side, sorted."""
        rows: dict[Key, list[MetricRow]] = defaultdict(list)
        known: dict[tuple[int, bool], list[MetricRow]] = {}
        for pair, sums in self.differences.items():
            model, prompt, first, second, slice_name = pair
            for strategy, versus in ((first, second), (second, first)):
                if strategy in BASELINES:
                    continue
                key, swapped = (model, prompt, strategy, slice_name), strategy == second
                if (id(sums), swapped) not in known:
                    signed = sums * SWAP if swapped else sums
                    compared = difference_statistics(signed / SCALE)
                    units = self.units.get((model, prompt, slice_name))
                    drawn = None if units is None else len(units)
                    known[id(sums), swapped] = metric_rows(key, compared, versus, drawn)
                rows[key] += _renamed(known[id(sums), swapped], strategy, versus)
        for own in rows.values():
            own.sort(key=lambda row: (row.versus or "", row.metric))
        return rows

    def _add(
        self,
        group: Group,
        frame: CorpusFrame,
        *,
        per_speaker: bool,
        compared: frozenset[tuple[str, str]] | None,
        are_votes: bool,
    ) -> None:
        """Add one block of one group."""
        utterances = group.utterances
        scored = scored_strategies(group, frame)
        same = same_as(scored)
        hashes = drawn_hashes(utterances, self.drawn)
        weights = by_speaker = replicate_weights(hashes, self.replicates, self.seed)
        if self.drawn == "utterances" and any(column.of_speaker for column in frame.columns):
            hashes = drawn_hashes(utterances, "speakers")
            by_speaker = replicate_weights(hashes, self.replicates, self.seed)
        pairs = {
            pair: (same[pair[0]], same[pair[1]])
            for pair in combinations(sorted(scored), 2)
            if is_compared(pair, compared)
        }
        halved = halvings(utterances) if are_votes else []
        humans = human_summands(halved, utterances.truth.shape)
        columns: dict[str | tuple[str, str], Array] = {
            name: to_units(summands(scored[name], scored[PRIOR], humans))
            for name in dict.fromkeys(same.values())
        }
        if halved:
            columns[HUMANS] = to_units(humans)
        columns |= {
            pair: to_units(difference_summands(scored[pair[0]], scored[pair[1]]))
            for pair in dict.fromkeys(pairs.values())
        }
        spent, paid_like = spent_by(group.costs)
        joined = np.hstack([*columns.values(), *spent.values()])
        widths = [block.shape[1] for block in (*columns.values(), *spent.values())]
        ends = np.cumsum(widths)[:-1]
        ambiguous = utterances.entropy > frame.median_entropy
        predicted = {name: predicted_values(scored[name], ambiguous) for name in set(same.values())}
        counted = {
            name: predicted[same[name]]
            | stated_values(scored[name], group.uncertainty.get(name), ambiguous)
            for name in scored
        }
        rated = None
        if utterances.asked.any() and frame.ratings is not None:
            rated = attributes.attribute_units(utterances.ratings, utterances.asked, frame.ratings)
        truth = utterances.plurality_matrix
        choices = {name: to_units(scored[name].choice) for name in set(same.values())}
        found = slices(utterances, frame, self.labels, per_speaker=per_speaker)
        drawn = SliceWeights(weights, by_speaker, frame.columns)
        for slice_name, rows, summed in slice_sums(found, drawn, joined):
            parts = [part.copy() for part in np.split(summed, ends, axis=1)]
            sums = dict(zip(columns, parts, strict=False))
            costs = dict(zip(spent, parts[len(columns) :], strict=True))
            shown = [name for name in scored if scored[name].present[rows].any()]
            keys = {name: (group.model, group.prompt, name, slice_name) for name in shown}
            confusion = {
                name: weighted_sums(truth[rows].T, choices[name][rows])
                for name in {same[name] for name in shown}
            }
            _accumulate(self.sums, {keys[name]: sums[same[name]] for name in shown})
            if halved and halved[0].valid[rows].any():
                key = (group.model, group.prompt, HUMANS, slice_name)
                _accumulate(self.sums, {key: sums[HUMANS]})
            _accumulate(self.confusion, {keys[name]: confusion[same[name]] for name in shown})
            _accumulate(
                self.differences,
                {
                    (group.model, group.prompt, *pair, slice_name): sums[own]
                    for pair, own in pairs.items()
                    if sums[own][0, 0] > 0
                },
            )
            if self.drawn == "speakers" and is_bootstrapped(slice_name):
                place = group.model, group.prompt, slice_name
                self.units[place] = Units.of(utterances, rows).merge(self.units.get(place))
            if rated is not None:
                key = group.model, group.prompt, attributes.STRATEGY, slice_name
                chosen = drawn.of(slice_name)[:, rows]
                _accumulate(self.rated, {key: weighted_sums(chosen, rated[rows])})
            if has_costs(slice_name):
                known = {keys[name]: costs[own] for name, own in paid_like.items() if name in keys}
                _accumulate(self.costs, known)
            for name in shown:
                counts = {row: values.counts(rows) for row, values in counted[name].items()}
                self._add_values(keys[name], counts)

    def _add_values(self, key: Key, counts: Mapping[str, ValueCounts]) -> None:
        known = self.values.get(key)
        self.values[key] = {
            row: values if known is None else known[row].merge(values)
            for row, values in counts.items()
        }


def _accumulate(sums: dict[_Key, Integers], more: Mapping[_Key, Integers]) -> None:
    """Add ``more`` to ``sums``; arrays that several keys share stay shared.

    Strategies that predict the same, as under two values of tau, have their sums in common.
    """
    added: dict[tuple[int, int], Integers] = {}
    for key, block in more.items():
        known = sums.get(key)
        if known is None:
            sums[key] = block
            continue
        pair = id(known), id(block)
        if pair not in added:
            added[pair] = known + block
        sums[key] = added[pair]


def _renamed(rows: list[MetricRow], strategy: str, versus: str | None) -> list[MetricRow]:
    """Rows that strategies share, under the names of one of them."""
    if (rows[0].strategy, rows[0].versus) == (strategy, versus):
        return rows
    return [replace(row, strategy=strategy, versus=versus) for row in rows]
