"""From ``predictions/`` to ``metrics/`` in two passes that merge in any order to the same bits.

Pass 1, :class:`raypipe.metrics.summary.CorpusSummary`: what bins and baselines need of the whole
corpus. Pass 2, :class:`MetricState`: exact integer sums per (model, prompt, strategy, slice) and
bootstrap replicate, see :mod:`raypipe.metrics.exact`. Neither knows where it runs.

All rows of an utterance under one model and prompt must stand in one table (a shard's object has
them all): paired differences are taken there.

Slices: ``all``, ``ambiguity_count_1`` .. ``5`` (bins of equal count by entropy of the soft label,
1 the clearest), ``ambiguity_width_1`` .. ``5`` (bins of equal width over [0, log2 K]),
``label=<plurality>``, ``split=<split>``, ``majority`` (one label above 50 % of the votes) and, on
request, ``speaker=<id>`` (without intervals). Unlabelled utterances count only in
``invalid_rate`` of ``all`` and ``split=``, and in the costs of ``all``. Costs
(:mod:`raypipe.metrics.costs`) are given for ``all`` and the ambiguity bins.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raypipe.errors import AccountingError
from raypipe.labels import LabelSet
from raypipe.metrics import bins
from raypipe.metrics.baselines import uniform
from raypipe.metrics.bootstrap import REPLICATES, intervals, weights_from_hashes
from raypipe.metrics.calibration import auroc_from_counts
from raypipe.metrics.classification import strict_majority
from raypipe.metrics.costs import cost_statistics, cost_units
from raypipe.metrics.distribution import entropy_bits
from raypipe.metrics.exact import BLOCK, SCALE, ValueCounts, to_units, weighted_sums
from raypipe.metrics.rows import Group, Utterances, read_groups
from raypipe.metrics.statistics import (
    BASELINES,
    PRIOR,
    UNIFORM,
    Scored,
    Statistic,
    difference_statistics,
    difference_summands,
    score,
    statistics,
    summands,
    truth_matrix,
)
from raypipe.metrics.summary import CorpusFrame, CorpusSummary

__all__ = [
    "CorpusSummary",
    "MetricRow",
    "MetricState",
    "confusion_table",
    "metrics_table",
]

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
Indices = NDArray[np.int64]

Key = tuple[str, str, str, str]
"""(model, prompt, strategy, slice)."""
PairKey = tuple[str, str, str, str, str]
"""(model, prompt, strategy, versus, slice), the strategies in alphabetical order."""

_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One row of ``metrics/``.

    Attributes:
        versus: the other strategy of a paired difference (strategy minus versus); None otherwise.
        value: None where undefined, e.g. without any valid utterance.
        ci_low: lower end of the 95 % interval; None where there is none. ``ci_high`` likewise.
        n: number of utterances behind the value.
        n_invalid: number of invalid predictions left out of it.
    """

    model: str
    prompt: str
    strategy: str
    slice: str
    metric: str
    versus: str | None
    value: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    n_invalid: int


@dataclass
class MetricState:
    """Pass 2: exact sums behind every metric, to be merged and then finished.

    Attributes:
        replicates: bootstrap replicates R; 0 for no intervals.
        seed: of the bootstrap.
        sums: per strategy and slice, shape ``(1 + R, columns)``, the unweighted sums first.
        differences: per pair and slice, shape ``(1 + R, 5)``.
        confusion: per strategy and slice, shape ``(labels, labels)``, rows are truth.
        costs: per strategy and slice, shape ``(1 + R, 6)``, see :mod:`raypipe.metrics.costs`.
        values: per strategy and slice: JS, BC, and predicted entropy, aleatoric and epistemic
            uncertainty by ambiguity class.
    """

    labels: LabelSet
    replicates: int
    seed: int
    sums: dict[Key, Integers] = field(default_factory=dict)
    differences: dict[PairKey, Integers] = field(default_factory=dict)
    confusion: dict[Key, Integers] = field(default_factory=dict)
    costs: dict[Key, Integers] = field(default_factory=dict)
    values: dict[Key, tuple[ValueCounts, ...]] = field(default_factory=dict)

    @classmethod
    def from_table(
        cls,
        table: pa.Table,
        summary: CorpusSummary,
        labels: LabelSet,
        *,
        replicates: int = REPLICATES,
        seed: int = 0,
        per_speaker: bool = False,
        compared: frozenset[tuple[str, str]] | None = None,
    ) -> MetricState:
        """Sum up a ``predictions/`` table.

        Args:
            table: rows of ``predictions/``, whole utterances.
            summary: of the whole corpus.
            labels: the K labels.
            replicates: bootstrap replicates.
            seed: of the bootstrap.
            per_speaker: also give ``speaker=`` slices, without intervals.
            compared: pairs of strategies, each in alphabetical order, whose paired differences
                are given; None for all. Those from the baselines always are.

        Raises:
            AccountingError: if rows are doubled or not aligned with the labels.
        """
        state = cls(labels, replicates, seed)
        for group in read_groups(table, labels):
            for start in range(0, group.utterances.hashes.size, BLOCK):
                rows = np.arange(start, min(start + BLOCK, group.utterances.hashes.size))
                part = _part(group, rows)
                state._add(part, summary.frame, per_speaker=per_speaker, compared=compared)
        return state

    def merge(self, other: MetricState) -> MetricState:
        """The sums of both; in whatever order states are merged, the bits are the same.

        Raises:
            AccountingError: if labels, replicates or seed differ.
        """
        if (self.labels, self.replicates, self.seed) != (
            other.labels,
            other.replicates,
            other.seed,
        ):
            raise AccountingError("states of different labels, replicates or seeds do not add up")
        merged = MetricState(
            self.labels,
            self.replicates,
            self.seed,
            dict(self.sums),
            dict(self.differences),
            dict(self.confusion),
            dict(self.costs),
            dict(self.values),
        )
        _accumulate(merged.sums, other.sums)
        _accumulate(merged.differences, other.differences)
        _accumulate(merged.confusion, other.confusion)
        _accumulate(merged.costs, other.costs)
        for key, values in other.values.items():
            merged._add_values(key, values)
        return merged

    def finish(self) -> list[MetricRow]:
        """Every row of ``metrics/``, sorted by model, prompt, strategy and slice."""
        rows: list[MetricRow] = []
        known: dict[int, list[MetricRow]] = {}
        differences = self._difference_rows()
        for key in sorted(self.sums):
            sums = self.sums[key]
            if id(sums) not in known:
                known[id(sums)] = _metric_rows(key, statistics(sums / SCALE, self.labels), None)
            own = [replace(row, strategy=key[2]) for row in known[id(sums)]]
            n_invalid = next(row.n_invalid for row in own if row.metric == "js")
            rows += [*own, *_value_rows(key, self.values[key], n_invalid)]
            if key in self.costs:
                rows += _metric_rows(key, cost_statistics(self.costs[key] / SCALE), None)
            rows += differences.get(key, ())
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
                    signed = sums * np.array([1, -1, -1, 1, -1]) if swapped else sums
                    found = difference_statistics(signed / SCALE)
                    known[id(sums), swapped] = _metric_rows(key, found, versus)
                rows[key] += [
                    replace(row, strategy=strategy, versus=versus)
                    for row in known[id(sums), swapped]
                ]
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
    ) -> None:
        """Add one block of one group."""
        utterances = group.utterances
        scored, present = _scored_strategies(group, frame)
        same = _same_as(scored)
        weights = _weights(utterances.hashes, self.replicates, self.seed)
        pairs = {
            pair: (same[pair[0]], same[pair[1]])
            for pair in combinations(sorted(scored), 2)
            if _is_compared(pair, compared)
        }
        columns: dict[str | tuple[str, str], Array] = {
            name: to_units(summands(utterances, scored[name], scored[PRIOR], present[name]))
            for name in dict.fromkeys(same.values())
        }
        columns |= {
            pair: to_units(difference_summands(utterances, scored[pair[0]], scored[pair[1]]))
            for pair in dict.fromkeys(pairs.values())
        }
        spent, paid_like = _spent(group.costs)
        joined = np.hstack([*columns.values(), *spent.values()])
        widths = [block.shape[1] for block in (*columns.values(), *spent.values())]
        ends = np.cumsum(widths)[:-1]
        values = {
            name: _value_arrays(utterances, scored[name], frame) for name in set(same.values())
        }
        truth = truth_matrix(utterances)
        choices = {name: to_units(scored[name].choice) for name in set(same.values())}
        for slice_name, rows in _slices(utterances, frame, self.labels, per_speaker=per_speaker):
            chosen = weights[:1, rows] if slice_name.startswith("speaker=") else weights[:, rows]
            parts = [
                part.copy() for part in np.split(weighted_sums(chosen, joined[rows]), ends, axis=1)
            ]
            sums = dict(zip(columns, parts, strict=False))
            costs = dict(zip(spent, parts[len(columns) :], strict=True))
            shown = [name for name in scored if present[name][rows].any()]
            keys = {name: (group.model, group.prompt, name, slice_name) for name in shown}
            confusion = {
                name: weighted_sums(truth[rows].T, choices[name][rows])
                for name in {same[name] for name in shown}
            }
            _accumulate(self.sums, {keys[name]: sums[same[name]] for name in shown})
            _accumulate(self.confusion, {keys[name]: confusion[same[name]] for name in shown})
            _accumulate(
                self.differences,
                {
                    (group.model, group.prompt, *pair, slice_name): sums[own]
                    for pair, own in pairs.items()
                    if sums[own][0, 0] > 0
                },
            )
            if slice_name == "all" or slice_name.startswith("ambiguity_"):
                known = {keys[name]: costs[own] for name, own in paid_like.items() if name in keys}
                _accumulate(self.costs, known)
            for name in shown:
                valid = rows[scored[name].valid[rows]]
                uncertainty = group.uncertainty.get(name)
                counts = _value_counts(values[same[name]], uncertainty, valid)
                self._add_values(keys[name], counts)

    def _add_values(self, key: Key, values: tuple[ValueCounts, ...]) -> None:
        known = self.values.get(key)
        self.values[key] = (
            values
            if known is None
            else tuple(left.merge(right) for left, right in zip(known, values, strict=True))
        )


def metrics_table(rows: Iterable[MetricRow]) -> pa.Table:
    """Rows as the ``metrics/`` table."""
    listed = list(rows)
    types = {"value": pa.float64(), "ci_low": pa.float64(), "ci_high": pa.float64()}
    types |= {"n": pa.int64(), "n_invalid": pa.int64()}
    names = ("model", "prompt", "strategy", "slice", "metric", "versus", *types)
    return pa.table(
        {
            name: pa.array([getattr(row, name) for row in listed], types.get(name, pa.string()))
            for name in names
        }
    )


def confusion_table(state: MetricState) -> pa.Table:
    """Confusion counts: model, prompt, strategy, slice, truth (plurality), predicted, count.

    Counts are whole, but for ``uniform``, which spreads every utterance evenly over the labels.
    """
    names = state.labels.names
    rows = [
        (*key, truth, predicted, state.confusion[key][i, j] / SCALE)
        for key in sorted(state.confusion)
        for i, truth in enumerate(names)
        for j, predicted in enumerate(names)
    ]
    columns = ("model", "prompt", "strategy", "slice", "truth", "predicted", "count")
    return pa.table(
        {
            name: pa.array(
                [row[place] for row in rows], pa.float64() if name == "count" else pa.string()
            )
            for place, name in enumerate(columns)
        }
    )


# --- one block --------------------------------------------------------------------------------


def _part(group: Group, rows: Indices) -> Group:
    return Group(
        group.model,
        group.prompt,
        group.utterances.take(rows),
        {name: probs[rows] for name, probs in group.predictions.items()},
        {name: present[rows] for name, present in group.present.items()},
        {name: values[rows] for name, values in group.uncertainty.items()},
        {name: values[rows] for name, values in group.costs.items()},
    )


def _scored_strategies(
    group: Group, frame: CorpusFrame
) -> tuple[dict[str, Scored], dict[str, NDArray[np.bool_]]]:
    """The strategies and the two baselines, which stand on every labelled utterance."""
    utterances = group.utterances
    clash = set(group.predictions) & set(BASELINES)
    if clash:
        raise AccountingError(f"strategies {sorted(clash)} carry the name of a baseline")
    present = {**group.present, PRIOR: utterances.labelled, UNIFORM: utterances.labelled}
    scored: dict[str, Scored] = {}
    known: dict[tuple[bytes, bytes], Scored] = {}
    for name, probs in group.predictions.items():
        predicted = probs.tobytes(), present[name].tobytes()
        if predicted not in known:
            known[predicted] = score(utterances, probs, present[name])
        scored[name] = known[predicted]
    scored[PRIOR] = score(utterances, frame.prior_for(utterances), utterances.labelled)
    constant = uniform(*utterances.truth.shape)
    scored[UNIFORM] = score(utterances, constant, utterances.labelled, guess=True)
    return scored, present


def _same_as(scored: Mapping[str, Scored]) -> dict[str, str]:
    """For every strategy the first one that predicts the very same on all these utterances."""
    first: dict[int, str] = {}
    return {name: first.setdefault(id(scored[name]), name) for name in scored}


def _spent(costs: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, str]]:
    """Summands of the costs by strategy, and for every one the first that costs the very same."""
    first: dict[bytes, str] = {}
    same = {name: first.setdefault(found.tobytes(), name) for name, found in costs.items()}
    return {name: cost_units(costs[name]) for name in first.values()}, same


def _is_compared(pair: tuple[str, str], compared: frozenset[tuple[str, str]] | None) -> bool:
    baselines = sum(name in BASELINES for name in pair)
    return baselines == 1 or (baselines == 0 and (compared is None or pair in compared))


def _weights(hashes: NDArray[np.uint64], replicates: int, seed: int) -> Array:
    """Ones, then the bootstrap weights: shape ``(1 + replicates, utterances)``."""
    weights = np.ones((1 + replicates, hashes.size))
    weights[1:] = weights_from_hashes(hashes, replicates, seed).T
    return weights


def _slices(
    utterances: Utterances, frame: CorpusFrame, labels: LabelSet, *, per_speaker: bool
) -> Iterator[tuple[str, Indices]]:
    """Name and rows of every slice that has rows in this block."""
    labelled = utterances.labelled
    yield "all", np.arange(labelled.size)
    rows = np.flatnonzero(labelled)
    entropy = utterances.entropy[rows]
    by_count = bins.count_bin(entropy, utterances.hashes[rows], frame.edges)
    by_width = bins.equal_width(entropy, len(labels))
    for family, index in (("ambiguity_count", by_count), ("ambiguity_width", by_width)):
        for bin_index in np.unique(index):
            yield f"{family}_{bin_index + 1}", rows[index == bin_index]
    plurality = utterances.plurality[rows]
    for label in np.unique(plurality[plurality >= 0]):
        yield f"label={labels.names[label]}", rows[plurality == label]
    majority = rows[strict_majority(utterances.truth[rows])] if rows.size else rows
    if majority.size:
        yield "majority", majority
    yield from _named("split", utterances.splits, np.ones(labelled.size, dtype=np.bool_))
    if per_speaker:
        yield from _named("speaker", utterances.speakers, labelled)


def _named(
    family: str, names: Sequence[str | None], wanted: NDArray[np.bool_]
) -> Iterator[tuple[str, Indices]]:
    known = np.array([name or "" for name in names], dtype=object)
    for name in sorted({name for name in names if name}):
        rows = np.flatnonzero((known == name) & wanted)
        if rows.size:
            yield f"{family}={name}", rows


def _value_arrays(
    utterances: Utterances, scored: Scored, frame: CorpusFrame
) -> tuple[Array, Array, Array, Indices]:
    """JS, BC and predicted entropy in units, and whether the truth is ambiguous (1) or not (0)."""
    probs = np.where(scored.valid[:, None], scored.probs, 1.0)
    return (
        to_units(scored.metrics["js"]),
        to_units(scored.metrics["bc"]),
        to_units(entropy_bits(probs)),
        (utterances.entropy > frame.median_entropy).astype(np.int64),
    )


def _value_counts(
    values: tuple[Array, Array, Array, Indices], uncertainty: Array | None, valid: Indices
) -> tuple[ValueCounts, ...]:
    """JS, BC; entropy, aleatoric, epistemic uncertainty of clear (0) and ambiguous (1) utterances.

    The last two have no counts where the table has no such uncertainty.
    """
    js, bc, entropy, ambiguous = values
    one_class = np.zeros(valid.size, dtype=np.int64)
    counts = [
        ValueCounts.of_units(js[valid], one_class, 1),
        ValueCounts.of_units(bc[valid], one_class, 1),
        ValueCounts.of_units(entropy[valid], ambiguous[valid], 2),
    ]
    for kind in range(2):
        known = valid[:0]
        if uncertainty is not None:
            known = valid[~np.isnan(uncertainty[valid, kind])]
        found = np.zeros(0) if uncertainty is None else to_units(uncertainty[known, kind])
        counts.append(ValueCounts.of_units(found, ambiguous[known], 2))
    return tuple(counts)


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


# --- rows -------------------------------------------------------------------------------------


def _metric_rows(key: Key, found: dict[str, Statistic], versus: str | None) -> list[MetricRow]:
    drawn = [name for name, item in found.items() if item.bootstrapped and item.values.size > 1]
    ends = dict.fromkeys(found, (float("nan"), float("nan")))
    if drawn:
        both = intervals(np.stack([found[name].values[1:] for name in drawn]))
        ends |= {name: (low, high) for name, (low, high) in zip(drawn, both, strict=True)}
    return [
        _row(key, name, versus, (float(item.values[0]), *ends[name]), item.n, item.n_invalid)
        for name, item in found.items()
    ]


def _value_rows(key: Key, values: tuple[ValueCounts, ...], n_invalid: int) -> Iterator[MetricRow]:
    """The statistics that no sum gives; their intervals are analytic, not bootstrapped."""
    js, bc, entropy, aleatoric, epistemic = values
    count = int(js.counts.sum())
    yield _row(key, "js.median", None, js.median(), count, n_invalid)
    yield _row(key, "bc.median", None, bc.median(), count, n_invalid)
    area = auroc_from_counts(entropy.counts[:, 0], entropy.counts[:, 1])
    yield _row(key, "uncertainty_auroc", None, area, count, n_invalid)
    for metric, found in (("aleatoric_auroc", aleatoric), ("epistemic_auroc", epistemic)):
        known = int(found.counts.sum())
        if known:
            area = auroc_from_counts(found.counts[:, 0], found.counts[:, 1])
            yield _row(key, metric, None, area, known, n_invalid)


def _row(
    key: Key,
    metric: str,
    versus: str | None,
    estimate: tuple[float, float, float],
    n: int,
    n_invalid: int,
) -> MetricRow:
    value, low, high = (None if math.isnan(number) else float(number) for number in estimate)
    if value is None:
        low = high = None
    return MetricRow(*key, metric, versus, value, low, high, n, n_invalid)
