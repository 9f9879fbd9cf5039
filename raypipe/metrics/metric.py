"""What every metric declares: its name, its meaning, its places in tables.

A metric is one object, of one of the four kinds in :mod:`raypipe.metrics.kinds`. Everything else
is derived from these objects: columns of ``predictions/``, rows of ``metrics/``, the reduce, the
report, ``raypipe metrics`` and the table in this folder's README. A declaration that contradicts
itself or lacks a part raises RegistryError where it is made, that is at import.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from raypipe.errors import RegistryError
from raypipe.metrics.scored import Scored
from raypipe.metrics.sums import NO_INTERVAL, Statistic, Summand, Sums, ratio

Array = NDArray[np.float64]

Better = Literal["lower", "higher", "neither"]

NEVER = "never"
"""``undefined`` of a metric that has a value for every valid prediction."""

UNIFORM_SUFFIX, MEDIAN_SUFFIX = ".invalid_as_uniform", ".median"
SKILL_SUFFIX, HUMAN_SKILL_SUFFIX = "_skill", "_human_skill"
REST_SUFFIX = ".minus_rest"
"""What is added to a metric's name for the rows of ``metrics/`` that derive from it."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Section(IntEnum):
    """Part of the tables a metric stands in, in this order."""

    DISTRIBUTION = 1
    PLURALITY = 2
    ANNOTATORS = 3
    CALIBRATION = 4
    COVERAGE = 5
    UNCERTAINTY = 6
    COST = 7

    @property
    def title(self) -> str:
        """What the metrics of the section compare, for people."""
        return _TITLES[self]


_TITLES = {
    Section.DISTRIBUTION: "predicted distribution and soft label",
    Section.PLURALITY: "dominant label and plurality",
    Section.ANNOTATORS: "predicted labels and all that annotators gave",
    Section.CALIBRATION: "confidence and correctness",
    Section.COVERAGE: "what was counted",
    Section.UNCERTAINTY: "predicted uncertainty and ambiguity",
    Section.COST: "cost per utterance",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Metric:
    """What every metric declares.

    Attributes:
        kind: how the value is worked out, for people.
        name: in ``metrics/`` and ``predictions/``: lower-case letters, digits and underscores.
        title: a few characters for the head of a column.
        narrow: the title in a column of five characters, with line breaks; empty for the same.
        description: one line on what the value is.
        range: smallest and largest value; infinite where there is no bound.
        unit: of the value; empty for a pure number.
        better: which values are better, or ``neither``.
        undefined: when there is no value although there are valid predictions; :data:`NEVER`.
        source: the equation and where it comes from.
        section: the part of the tables it stands in.
        rank: its place in the section; no two metrics of a section share one.
        headline: whether it is a column of the report's main table.
    """

    kind: ClassVar[str]

    name: str
    title: str
    description: str
    range: tuple[float, float]
    unit: str = ""
    better: Better
    undefined: str
    source: str
    section: Section
    rank: int
    headline: bool = False
    narrow: str = ""

    def __post_init__(self) -> None:
        """Refuse a declaration that lacks a part or contradicts itself, with RegistryError."""
        for field, fault in self._faults():
            raise RegistryError(f"metric {self.name!r}: {field}: {fault}")

    def _faults(self) -> Iterator[tuple[str, str]]:
        if not _NAME.fullmatch(self.name) or self.name.endswith(SKILL_SUFFIX):
            yield "name", "must be lower case, without a suffix of derived rows"
        for field in ("title", "description", "undefined", "source"):
            if not getattr(self, field).strip():
                yield field, "is empty"
        if "\n" in self.description:
            yield "description", "must be one line"
        if not self.range[0] < self.range[1]:
            yield "range", f"{self.range} is empty"
        if self.better not in get_args(Better):
            yield "better", f"{self.better!r} is none of {', '.join(get_args(Better))}"
        if self.headline and self.better == "neither":
            yield "headline", "a column of the report needs a better end"

    @property
    def order(self) -> tuple[int, int]:
        """Sort key of the tables."""
        return self.section, self.rank

    @property
    def best(self) -> float:
        """The best value there is: the end of the range that is better; NaN for ``neither``."""
        ends = {"lower": self.range[0], "higher": self.range[1], "neither": math.nan}
        return ends[self.better]

    @property
    def row_names(self) -> tuple[str, ...]:
        """Rows of ``metrics/``; ``f1=<label>`` stands for one row per label."""
        return (self.name,)


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredMetric(Metric):
    """A metric whose value is a function of sums over utterances.

    Attributes:
        skill: whether there are rows of its skill against the predictor ``prior``, between it
            and a perfect prediction and between it and the annotators.
        difference: whether there are rows of paired differences between strategies.
        of_humans: whether it is given for the agreement of the annotators, too.
    """

    skill: bool = False
    difference: bool = False
    of_humans: bool = True

    def _faults(self) -> Iterator[tuple[str, str]]:
        yield from super()._faults()
        if self.skill and not math.isfinite(self.best):
            yield "skill", "needs a finite best value: a better end of a finite range"

    @property
    def summands(self) -> tuple[Summand, ...]:
        """All quantities to be added up for this metric and its skills."""
        if not self.skill:
            return self.own_summands
        return (*self.own_summands, self.prior, self.humans, self.human_count)

    @property
    def own_summands(self) -> tuple[Summand, ...]:
        """What is added up for :meth:`rows`, without what the skills need."""
        raise NotImplementedError

    def values(self, scored: Scored) -> Array:
        """One value per utterance, shape ``(utterances,)``; NaN where undefined."""
        raise NotImplementedError

    def rows(self, sums: Sums) -> dict[str, Statistic]:
        """Rows of ``metrics/`` by name."""
        raise NotImplementedError

    def uniform_rows(self, sums: Sums) -> dict[str, Statistic]:
        """Rows in which invalid predictions count as uniform, by name; none without a twin."""
        raise NotImplementedError

    def _counts(self, sums: Sums) -> Array:
        """Number of utterances that have a value, shape ``(1 + replicates,)``."""
        raise NotImplementedError

    @cached_property
    def prior(self) -> Summand:
        """What the predictor ``prior`` scores on the very rows the strategy is scored on."""
        return Summand(f"{self.name}.prior", self.values, of="prior")

    @cached_property
    def humans(self) -> Summand:
        """What the annotators score on each other, on the rows the strategy is scored on."""
        return Summand(f"{self.name}.humans", self.values, of="humans")

    @cached_property
    def human_count(self) -> Summand:
        """The rows of :attr:`humans` that have a value."""
        name = f"{self.name}.human_count"
        return Summand(name, lambda scored: ~np.isnan(self.values(scored)), of="humans")

    def skill_of(self, own: Statistic, sums: Sums) -> Statistic:
        """Skill against the prior on the same rows: 1 for perfect, 0 for no better.

        1 - (m - best) / (prior - best) for losses, (m - prior) / (best - prior) for scores.
        """
        reference = ratio(sums[self.prior], self._counts(sums))
        if self.better == "lower":
            skill = 1.0 - ratio(own.values - self.best, reference - self.best)
        else:
            skill = ratio(own.values - reference, self.best - reference)
        return Statistic(skill, own.n, own.n_invalid)

    def human_skill_of(self, own: Statistic, sums: Sums) -> Statistic | None:
        """Skill between the prior (0) and the annotators' agreement (1) on the same rows.

        (m - prior) / (humans - prior): above 1 for what is better than one half of the votes is
        at predicting the other. None where no row has votes that can be halved; without a value
        where the annotators are not better than the prior, and without an interval below
        :data:`LEAST_FOR_HUMAN_SKILL` utterances and where more than 2.5 % of the replicates do
        not show that they are.
        """
        counts = sums[self.human_count]
        if counts[0] <= 0.0:
            return None
        prior = ratio(sums[self.prior], self._counts(sums))
        sign = -1.0 if self.better == "lower" else 1.0
        gap = sign * (ratio(sums[self.humans], counts) - prior)
        skill = ratio(sign * (own.values - prior), gap)
        drawn = gap[1:][~np.isnan(gap[1:])]
        reason = None
        if drawn.size and own.n < LEAST_FOR_HUMAN_SKILL:
            reason = f"no interval below {LEAST_FOR_HUMAN_SKILL} utterances"
        elif drawn.size and (drawn <= 0.0).mean() > 0.025:
            reason = _NO_GAP
        ends = NO_INTERVAL if reason else None
        return Statistic(skill, own.n, own.n_invalid, interval=ends, note=reason)


LEAST_FOR_HUMAN_SKILL = 300
"""Utterances from which on a human skill has an interval: with 60 of them it holds the truth in 79
to 93 % of cases (``tests/bench/bench_intervals.py``)."""

_NO_GAP = "no interval: the annotators' agreement cannot be told apart from the prior"
