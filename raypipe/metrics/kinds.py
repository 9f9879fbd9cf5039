"""The four kinds of metrics.

``UtteranceMetric``
    a function of (truth, prediction) with one value per utterance; its mean is the row.
``SumsMetric``
    a function of sums over utterances, such as a macro-F1.
``AurocMetric``
    how well an uncertainty tells ambiguous utterances from clear ones.
``CostMetric``
    the mean of a column of ``predictions/`` that says what an answer cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from raypipe.metrics.metric import (
    HUMAN_SKILL_SUFFIX,
    MEDIAN_SUFFIX,
    NEVER,
    SKILL_SUFFIX,
    UNIFORM_SUFFIX,
    Metric,
    ScoredMetric,
)
from raypipe.metrics.scored import Scored
from raypipe.metrics.sums import (
    INVALID,
    NO_INTERVAL,
    VALID,
    Statistic,
    Summand,
    Sums,
    ratio,
    whole,
)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Of:
    """A per-utterance function of another metric's column, which is not worked out twice.

    Attributes:
        metric: the other metric.
        transform: from its column, shape ``(utterances,)``, to this one.
    """

    metric: UtteranceMetric
    transform: Callable[[Array], Array]

    def __call__(self, truth: Array, prediction: Array) -> Array:
        """The value of every row, shape ``(utterances,)``."""
        return self.transform(self.metric.function(truth, prediction))


@dataclass(frozen=True, kw_only=True, eq=False)
class UtteranceMetric(ScoredMetric):
    """A function of (truth, prediction) with one value per utterance; its mean is the row.

    Attributes:
        function: from the soft labels and the predicted distributions, shape
            ``(utterances, labels)`` each, to values of shape ``(utterances,)``; NaN where
            undefined. :class:`Of` for a function of another metric's column.
        column: whether it is a column of ``predictions/``.
        median: whether there is a row of its median.
        invalid_as_uniform: whether there is a row in which an invalid prediction counts as the
            uniform distribution.
        uniform_value: what the uniform distribution counts for, from the soft labels, where that
            is not ``function(truth, uniform)``.
        label_order_matters: whether the value changes when the labels change places.
    """

    kind = "mean per utterance"

    function: Callable[[Array, Array], Array]
    column: bool = True
    median: bool = False
    invalid_as_uniform: bool = True
    uniform_value: Callable[[Array], Array] | None = None
    label_order_matters: bool = False

    def _faults(self) -> Iterator[tuple[str, str]]:
        yield from super()._faults()
        if self.skill and not self.always_defined:
            yield "skill", f"needs a value for every valid prediction, undefined={NEVER!r}"
        if self.uniform_value is not None and not self.invalid_as_uniform:
            yield "uniform_value", "means nothing without invalid_as_uniform"

    def __call__(self, truth: Array, prediction: Array) -> Array:
        """The value of every row, shape ``(utterances,)``."""
        return self.function(truth, prediction)

    @property
    def always_defined(self) -> bool:
        """Whether every valid prediction has a value."""
        return self.undefined == NEVER

    @property
    def row_names(self) -> tuple[str, ...]:
        """Rows of ``metrics/``."""
        derived = {
            UNIFORM_SUFFIX: self.invalid_as_uniform,
            SKILL_SUFFIX: self.skill,
            HUMAN_SKILL_SUFFIX: self.skill,
            MEDIAN_SUFFIX: self.median,
        }
        return (self.name, *(self.name + suffix for suffix, wanted in derived.items() if wanted))

    @cached_property
    def total(self) -> Summand:
        """The values themselves."""
        return Summand(self.name, self.values)

    @cached_property
    def count(self) -> Summand:
        """The utterances that have a value."""
        if self.always_defined:
            return VALID
        return Summand(f"{self.name}.count", lambda scored: ~np.isnan(self.values(scored)))

    @cached_property
    def uniform_total(self) -> Summand:
        """What the uniform distribution would score on the invalid rows."""
        return Summand(f"{self.name}.uniform", lambda scored: scored.filled[self.name])

    @cached_property
    def uniform_count(self) -> Summand:
        """The invalid rows on which the uniform distribution counts for something."""
        if self.always_defined:
            return INVALID
        name = f"{self.name}.uniform_count"
        return Summand(name, lambda scored: ~np.isnan(scored.filled[self.name]))

    @property
    def own_summands(self) -> tuple[Summand, ...]:
        """What is added up for :meth:`rows`, without what the skills need."""
        filled = (self.uniform_total, self.uniform_count) if self.invalid_as_uniform else ()
        return (self.total, self.count, *filled, INVALID)

    def values(self, scored: Scored) -> Array:
        """One value per utterance, shape ``(utterances,)``; NaN where undefined."""
        return scored.columns[self.name]

    def rows(self, sums: Sums) -> dict[str, Statistic]:
        """The mean over the utterances that have a value."""
        return {self.name: _mean(sums, sums[self.total], sums[self.count])}

    def uniform_rows(self, sums: Sums) -> dict[str, Statistic]:
        """The mean with invalid predictions counted as uniform, by name; none without a twin."""
        if not self.invalid_as_uniform:
            return {}
        total = sums[self.total] + sums[self.uniform_total]
        count = sums[self.count] + sums[self.uniform_count]
        return {self.name + UNIFORM_SUFFIX: _mean(sums, total, count)}

    def _counts(self, sums: Sums) -> Array:
        return sums[self.count]


@dataclass(frozen=True, kw_only=True, eq=False)
class SumsMetric(ScoredMetric):
    """A function of sums over utterances.

    Attributes:
        add: what is added up beside ``count``.
        function: from the sums to the value, shape ``(1 + replicates,)``, NaN where undefined; of
            a metric per label ``(1 + replicates, labels)``, of one with an ``interval`` ``(1,)``.
        count: the summand that counts the utterances behind the value.
        per_label: whether there is one row per label, ``name=label``.
        uniform: from the sums to the value with invalid predictions counted as uniform; None
            for no such row.
        uniform_count: the summand that counts the invalid predictions filled in for ``uniform``.
        per_utterance: from one strategy's predictions to a value per utterance whose mean is the
            metric, NaN where undefined: needed for ``skill`` and ``difference``.
        invalid: the summand that counts the invalid predictions left out.
        bootstrapped: whether the value has an interval.
        interval: from the sums, with replicates, to an interval of another kind than percentiles
            of the replicates; NaN twice where it is withheld.
        note: from the sums to what a reader has to know of the value or its interval.
        withheld: from the sums to why a value has no interval although it is bootstrapped, one
            reason per row; None for each that has one.
        is_stated: whether only some strategies say what it is about: there is no row where
            ``count`` is 0.
        of_speakers_to_come: whether its interval is for utterances of speakers to come, as what is
            fitted across speakers is: it is given only where replicates draw whole speakers.
    """

    kind = "function of sums"

    add: tuple[Summand, ...]
    function: Callable[[Sums], Array]
    count: Summand
    per_label: bool = False
    uniform: Callable[[Sums], Array] | None = None
    uniform_count: Summand | None = None
    per_utterance: Callable[[Scored], Array] | None = None
    invalid: Summand = INVALID
    bootstrapped: bool = True
    interval: Callable[[Sums], tuple[float, float]] | None = None
    note: Callable[[Sums], str | None] | None = None
    withheld: Callable[[Sums], Sequence[str | None]] | None = None
    is_stated: bool = False
    of_speakers_to_come: bool = False

    def _faults(self) -> Iterator[tuple[str, str]]:
        yield from super()._faults()
        if (self.skill or self.difference) and self.per_utterance is None:
            yield "per_utterance", "is needed for a skill and a paired difference"
        if not self.bootstrapped and self.better != "neither":
            yield "bootstrapped", "a value that can be better needs its interval"
        if self.interval and (self.per_label or self.skill or self.difference or self.uniform):
            yield "interval", "is for the value alone: no labels, skill, difference, uniform row"
        if self.is_stated and (self.skill or self.difference or self.uniform):
            yield "is_stated", "a value that need not be has no skill, difference, uniform row"
        if self.withheld and (self.interval or not self.bootstrapped):
            yield "withheld", "is for intervals of replicates"
        if (self.uniform is None) != (self.uniform_count is None):
            yield "uniform_count", "goes with uniform"
        if self.per_label and (self.skill or self.difference or self.uniform or self.headline):
            yield "per_label", "has neither skill, difference, uniform row nor headline"

    @property
    def row_names(self) -> tuple[str, ...]:
        """Rows of ``metrics/``; ``f1=<label>`` stands for one row per label."""
        if self.per_label:
            return (f"{self.name}=<label>",)
        derived = {
            UNIFORM_SUFFIX: self.uniform is not None,
            SKILL_SUFFIX: self.skill,
            HUMAN_SKILL_SUFFIX: self.skill,
        }
        return (self.name, *(self.name + suffix for suffix, wanted in derived.items() if wanted))

    @property
    def own_summands(self) -> tuple[Summand, ...]:
        """What is added up for :meth:`rows`, without what the skills need."""
        filled = () if self.uniform_count is None else (self.uniform_count,)
        return (*self.add, self.count, *filled, self.invalid)

    def values(self, scored: Scored) -> Array:
        """One value per utterance, shape ``(utterances,)``; NaN where undefined."""
        assert self.per_utterance is not None  # checked where the metric is declared
        return self.per_utterance(scored)

    def rows(self, sums: Sums) -> dict[str, Statistic]:
        """The value, or one row per label."""
        if self.is_stated and not sums.number(self.count):
            return {}
        values = self.function(sums)
        names = [self.name]
        if self.per_label:
            names = [f"{self.name}={label}" for label in sums.labels.names]
        columns = values.T if self.per_label else values[None]
        n, n_invalid = sums.number(self.count), sums.number(self.invalid)
        interval = self.interval(sums) if self.interval and sums.replicates else None
        return {
            name: Statistic(
                column,
                n,
                n_invalid,
                self.bootstrapped,
                NO_INTERVAL if reason else interval,
                reason or self._note(sums),
            )
            for name, column, reason in zip(names, columns, self._reasons(sums), strict=True)
        }

    def uniform_rows(self, sums: Sums) -> dict[str, Statistic]:
        """The value with invalid predictions counted as uniform, by name; none without a twin."""
        if self.uniform is None or self.uniform_count is None:
            return {}
        n = whole(sums.total(self.count)[0] + sums.total(self.uniform_count)[0])
        invalid = sums.number(self.invalid)
        [reason] = self._reasons(sums)
        statistic = Statistic(
            self.uniform(sums),
            n,
            invalid,
            interval=NO_INTERVAL if reason else None,
            note=reason or self._note(sums),
        )
        return {self.name + UNIFORM_SUFFIX: statistic}

    def _reasons(self, sums: Sums) -> Sequence[str | None]:
        """Why each row has no interval; None for one that has."""
        if self.withheld is None or not sums.replicates:
            return [None] * (len(sums.labels) if self.per_label else 1)
        return self.withheld(sums)

    def _note(self, sums: Sums) -> str | None:
        return None if self.note is None else self.note(sums)

    def _counts(self, sums: Sums) -> Array:
        return sums.total(self.count)


@dataclass(frozen=True, kw_only=True, eq=False)
class AurocMetric(Metric):
    """How well an uncertainty tells ambiguous utterances from clear ones.

    Ambiguous is what has more entropy in its soft label than the median utterance of the corpus.
    Exactly one of the two is given.

    Attributes:
        function: from predicted distributions, shape ``(utterances, labels)``, to uncertainties,
            shape ``(utterances,)``.
        column: the column of ``predictions/`` that holds the uncertainty; there is no row where
            no utterance has one.
    """

    kind = "AUROC"

    function: Callable[[Array], Array] | None = None
    column: str | None = None

    def _faults(self) -> Iterator[tuple[str, str]]:
        yield from super()._faults()
        if (self.function is None) == (self.column is None):
            yield "column", "either a function or a column gives the uncertainty"


@dataclass(frozen=True, kw_only=True, eq=False)
class CostMetric(Metric):
    """The mean of the column of ``predictions/`` of its own name that says what an answer cost."""

    kind = "mean cost"

    def _faults(self) -> Iterator[tuple[str, str]]:
        yield from super()._faults()
        if self.better == "higher":
            yield "better", "a higher cost is not"


def _mean(sums: Sums, total: Array, count: Array) -> Statistic:
    return Statistic(ratio(total, count), whole(count[0]), sums.number(INVALID))
