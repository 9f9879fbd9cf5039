"""The metrics table by approach, slice and metric."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from raypipe.metrics.attributes import STRATEGY
from raypipe.reporting.names import (
    HUMANS,
    INVALID,
    PRIMARY,
    PRIOR,
    REFERENCES,
    better,
    strategy_rank,
    title,
)
from raypipe.reporting.text import clean

_NUMBER: Final = re.compile(r"(\d+(?:\.\d+)?(?:e[-+]?\d+)?)")
_COLUMNS: Final = (
    "model",
    "prompt",
    "strategy",
    "slice",
    "metric",
    "versus",
    "value",
    "ci_low",
    "ci_high",
    "n",
    "n_invalid",
    "labels",
    "note",
    "p_value",
)


@dataclass(frozen=True, slots=True)
class Approach:
    """A model, a prompt and a strategy, which together give predictions."""

    model: str
    prompt: str
    strategy: str

    @property
    def is_reference(self) -> bool:
        """Whether this is no strategy but a constant predictor or the annotators' agreement."""
        return self.strategy in REFERENCES


@dataclass(frozen=True, slots=True)
class ApproachGroup:
    """The strategies of one model and prompt, or the references.

    Attributes:
        title: what tells its model and prompt from the others'; empty where there is only one.
    """

    title: str
    approaches: tuple[Approach, ...]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % interval.

    Attributes:
        low: lower end of the interval; None where the table gives no interval.
        high: upper end of the interval; None where the table gives no interval.
        n: number of utterances behind the value.
        n_invalid: number of invalid predictions left out of it.
        note: what a reader has to know of it; empty for nothing.
        p_value: of a paired difference, not corrected; None otherwise.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    n_invalid: int
    note: str = ""
    p_value: float | None = None


class Scores:
    """Estimates of the metrics table by approach, slice and metric.

    Args:
        metrics: columns model, prompt, strategy, slice, metric, versus, value, ci_low, ci_high,
            n, n_invalid, labels, note, p_value. A row without a finite value is left out.
        labels: name of the label table whose rows are read; None for those under the corpus's
            own labels.

    Attributes:
        rated: models and prompts with scores of arousal, valence and dominance, which are not
            among the approaches.
    """

    def __init__(self, metrics: pa.Table, labels: str | None = None) -> None:
        self._estimates: dict[tuple[Approach, str, str, str | None], Estimate] = {}
        approaches: dict[Approach, None] = {}
        rated: dict[Approach, None] = {}
        slices: dict[str, None] = {}
        for row in _rows(metrics):
            if row["labels"] != labels:
                continue
            approach = Approach(*(clean(row[key] or "") for key in ("model", "prompt", "strategy")))
            (rated if approach.strategy == STRATEGY else approaches).setdefault(approach)
            slices.setdefault(str(row["slice"]))
            estimate = _estimate(row)
            if estimate is not None:
                key = (approach, str(row["slice"]), str(row["metric"]), row["versus"])
                self._estimates[key] = estimate
        self.slices = tuple(slices)
        self.rated = tuple(rated)
        cells = list(dict.fromkeys((approach.model, approach.prompt) for approach in approaches))
        self._cells = {cell: place for place, cell in enumerate(cells)}
        self.approaches = tuple(sorted(self._without_copies(approaches), key=self._rank))

    def get(
        self,
        approach: Approach,
        metric: str,
        slice_name: str = "all",
        *,
        versus: str | None = None,
    ) -> Estimate | None:
        """Estimate of a metric, or None where the table has none."""
        return self._estimates.get((approach, slice_name, metric, versus))

    def notes(
        self, approaches: Iterable[Approach], metrics: Iterable[str], slice_name: str = "all"
    ) -> tuple[str, ...]:
        """What a reader has to know of some metrics, after their titles.

        Of several approaches the one with the fewest utterances speaks for a metric.
        """
        listed = tuple(approaches)
        notes = []
        for metric in metrics:
            estimates = [self.get(approach, metric, slice_name) for approach in listed]
            noted = [estimate for estimate in estimates if estimate is not None and estimate.note]
            if noted:
                fewest = min(noted, key=lambda estimate: estimate.n)
                notes.append(f"{title(metric)}: {fewest.note}")
        return tuple(notes)

    def strategies(self) -> tuple[Approach, ...]:
        """The approaches that listen: everything but the references."""
        return tuple(approach for approach in self.approaches if not approach.is_reference)

    def ranked(self) -> tuple[Approach, ...]:
        """The approaches that are scored alike: all but the annotators' agreement."""
        return tuple(approach for approach in self.approaches if approach.strategy != HUMANS)

    def groups(self) -> tuple[ApproachGroup, ...]:
        """The approaches in order, cut into models and prompts; references last."""
        by_cell: dict[tuple[str, str] | None, list[Approach]] = {}
        for approach in self.approaches:
            cell = None if approach.is_reference else (approach.model, approach.prompt)
            by_cell.setdefault(cell, []).append(approach)
        several = len(by_cell.keys() - {None}) > 1
        titles = {
            cell: "references" if cell is None else self._cell_name(members[0])
            for cell, members in by_cell.items()
        }
        return tuple(
            ApproachGroup(titles[cell] if several else "", tuple(members))
            for cell, members in by_cell.items()
        )

    def _cell_name(self, approach: Approach) -> str:
        """Model and prompt, as far as the table has several."""
        parts = {"model": approach.model, "prompt": approach.prompt}
        named = [
            part or "unnamed"
            for name, part in parts.items()
            if len({getattr(other, name) for other in self.strategies()}) > 1
        ]
        return " · ".join(named)

    def _rank(self, approach: Approach) -> tuple[int, int, int, tuple[str | float, ...]]:
        _, _, settings = approach.strategy.partition("[")  # those of a sweep
        rank = strategy_rank(approach.strategy)
        cell = self._cells[approach.model, approach.prompt]
        # sorted() is stable: unknown strategies keep the order of the table.
        places = (1, rank, cell) if approach.is_reference else (0, cell, rank)
        return *places, natural(settings)

    def best(self, metric: str = PRIMARY, slice_name: str = "all") -> Approach | None:
        """The strategy with the best value, the first of equals; None as of :meth:`best_of`."""
        return self.best_of(self.strategies(), metric, slice_name)

    def best_of(
        self, approaches: Iterable[Approach], metric: str, slice_name: str = "all"
    ) -> Approach | None:
        """The best among ``approaches``, the first of equals.

        None if none has a value, and for a metric of which no direction is known to be better.
        """
        direction = better(metric)
        if direction is None:
            return None
        sign = 1.0 if direction == "lower" else -1.0
        listed = list(approaches)
        partial = self.partial(listed, slice_name)
        scored = [
            (sign * estimate.value, position, approach)
            for position, approach in enumerate(listed)
            if (estimate := self.get(approach, metric, slice_name)) is not None
            and approach not in partial
        ]
        return min(scored)[2] if scored else None

    def partial(
        self, approaches: Iterable[Approach], slice_name: str = "all"
    ) -> dict[Approach, tuple[int, int]]:
        """Approaches with rows for fewer utterances than others of their model and prompt.

        So it is with what is fitted to a split, which gets no rows. Their values are of other
        utterances than those of the rest, so that they are compared by paired differences only.

        Returns:
            Their numbers of utterances, and of the rest's.
        """
        rows = {
            approach: estimate.n + estimate.n_invalid
            for approach in approaches
            if not approach.is_reference
            and (estimate := self.get(approach, PRIMARY, slice_name)) is not None
        }
        most: dict[tuple[str, str], int] = {}
        for approach, count in rows.items():
            cell = approach.model, approach.prompt
            most[cell] = max(most.get(cell, 0), count)
        return {
            approach: (count, most[approach.model, approach.prompt])
            for approach, count in rows.items()
            if count < most[approach.model, approach.prompt]
        }

    def prior(self, approach: Approach | None = None) -> Approach | None:
        """The constant predictor ``prior`` of the same model and prompt, or the only one."""
        return next(
            (reference for reference in self.references(approach) if reference.strategy == PRIOR),
            None,
        )

    def references(self, approach: Approach | None = None) -> tuple[Approach, ...]:
        """A reference of each name: of the same model and prompt, or else the first."""
        chosen: dict[str, Approach] = {}
        for reference in self.approaches:
            same = approach is not None and (
                (reference.model, reference.prompt) == (approach.model, approach.prompt)
            )
            if reference.is_reference and (same or reference.strategy not in chosen):
                chosen[reference.strategy] = reference
        return tuple(chosen.values())

    def metrics(self, slice_name: str = "all") -> tuple[str, ...]:
        """Names of all metrics that have a value on a slice, paired differences left out."""
        names = (
            metric
            for approach, where, metric, versus in self._estimates
            if where == slice_name and versus is None and approach not in self.rated
        )
        return tuple(dict.fromkeys(names))

    def name(self, approach: Approach) -> str:
        """The strategy, with the prompt and the model where the table has several."""
        peers = self.strategies() or self.approaches
        if approach.is_reference:
            # A reference hears no prompt: one that stands alone needs no other name.
            peers = tuple(other for other in self.approaches if other.strategy == approach.strategy)
        parts = [approach.strategy]
        if len({other.prompt for other in peers}) > 1 and approach.prompt:
            parts.append(approach.prompt)
        if len({other.model for other in peers}) > 1 and approach.model:
            parts.append(approach.model)
        return " · ".join(parts)

    def short_name(self, approach: Approach) -> str:
        """The name below its group's title: the strategy alone, but for references."""
        return self.name(approach) if approach.is_reference else approach.strategy

    def invalid_rate(self, approach: Approach, slice_name: str = "all") -> Estimate | None:
        """Share of invalid predictions; from the counts where the table has no such metric."""
        stated = self.get(approach, INVALID, slice_name)
        if stated is not None:
            return stated
        scored = self.get(approach, PRIMARY, slice_name)
        if scored is None or scored.n + scored.n_invalid == 0:
            return None
        total = scored.n + scored.n_invalid
        return Estimate(scored.n_invalid / total, None, None, total, scored.n_invalid)

    def _without_copies(self, approaches: Iterable[Approach]) -> Iterator[Approach]:
        """Leave out a reference repeated under another prompt with the same score."""
        seen: set[tuple[str, float]] = set()
        for approach in approaches:
            estimate = None
            if approach.is_reference and self.slices:
                estimate = self.get(approach, PRIMARY, self.slices[0])
            if estimate is not None:
                if (key := (approach.strategy, estimate.value)) in seen:
                    continue
                seen.add(key)
            yield approach


def natural(text: str) -> tuple[str | float, ...]:
    """Words and numbers in turn, so that 1.5 comes after 1 and 10 after 2.

    Example:
        >>> sorted(["tau=10", "tau=2", "tau=1.5"], key=natural)
        ['tau=1.5', 'tau=2', 'tau=10']
    """
    parts = _NUMBER.split(text) if text else []
    return tuple(float(part) if place % 2 else part for place, part in enumerate(parts))


def _rows(metrics: pa.Table) -> Iterator[Mapping[str, Any]]:
    present = [name for name in _COLUMNS if name in metrics.column_names]
    absent = dict.fromkeys(set(_COLUMNS) - set(present))
    for batch in metrics.select(present).to_batches():
        for row in batch.to_pylist():
            yield absent | row


def _estimate(row: Mapping[str, Any]) -> Estimate | None:
    value = _finite(row["value"])
    if value is None:
        return None
    low, high = _finite(row["ci_low"]), _finite(row["ci_high"])
    if low is None or high is None:
        low = high = None
    counts = int(row["n"] or 0), int(row["n_invalid"] or 0)
    return Estimate(value, low, high, *counts, clean(row["note"] or ""), row["p_value"])


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
