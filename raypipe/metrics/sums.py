"""Summands, which are added up over utterances, and the sums that a metric is a function of.

Sums have the shape ``(1 + replicates,)``: the plain sum first, then one per bootstrap replicate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from raypipe.labels import LabelSet
from raypipe.metrics.scored import Scored

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Summand:
    """A quantity that is added up over utterances, under a name of its own.

    Attributes:
        name: unique among all summands.
        function: from one strategy's predictions to its values, shape ``(utterances,)`` or, for
            several columns, ``(utterances, columns)``; NaN counts as 0. Magnitudes stay below 256
            (see :mod:`raypipe.metrics.exact`).
        width: number of columns, or of columns per label.
        per_label: whether ``width`` is a number of columns per label.
        of: whose predictions the function is applied to: the strategy's own; or, on the rows
            where the strategy is valid, those of ``prior`` or of ``humans``, see
            :mod:`raypipe.metrics.humans`.
    """

    name: str
    function: Callable[[Scored], Array | Mask]
    width: int = 1
    per_label: bool = False
    of: Literal["strategy", "prior", "humans"] = "strategy"

    def column_count(self, label_count: int) -> int:
        """Number of columns for K labels."""
        return self.width * label_count if self.per_label else self.width


@dataclass(frozen=True, slots=True)
class Statistic:
    """One metric over the replicates.

    Attributes:
        values: shape ``(1 + replicates,)``, the plain value first; NaN where undefined.
        n: number of utterances behind the plain value.
        n_invalid: number of invalid predictions left out of it (or filled in).
        bootstrapped: whether the replicates give an interval.
        interval: an interval of another kind, NaN twice for none; None for the replicates'.
        note: what a reader has to know of the value or its interval; None for nothing.
    """

    values: Array
    n: int
    n_invalid: int
    bootstrapped: bool = True
    interval: tuple[float, float] | None = None
    note: str | None = None


NO_INTERVAL = (math.nan, math.nan)
"""In the place of an interval that is withheld."""

LEAST_UTTERANCES = 20
"""Utterances from which on anything has an interval. Percentiles of replicates hold the mean JS of
15 utterances in 88 % of data sets, of 10 in 87 %, of 3 in 65 %."""

LEAST_COUNT = 5
"""Hits, misses or differing utterances from which on percentiles of replicates are an interval. Of
fewer they hold the truth in less than 92.5 % of data sets (``tests/bench/bench_intervals.py``)."""


def too_few(counts: Mapping[str, float]) -> str | None:
    """Why a rate has no interval: one of its counts is below :data:`LEAST_COUNT`; None if none is.

    Example:
        >>> too_few({"hits": 57.0, "misses": 3.0})
        'no interval: 3 misses, at least 5 are needed'
        >>> too_few({"hits": 57.0, "misses": 5.0})
    """
    for name, number in counts.items():
        if number < LEAST_COUNT:
            return f"no interval: {number:.3g} {name}, at least {LEAST_COUNT} are needed"
    return None


@dataclass(frozen=True)
class Sums:
    """The sums of all summands of one strategy on one slice.

    Attributes:
        blocks: by name of the summand, shape ``(1 + replicates, columns)``.
    """

    labels: LabelSet
    blocks: Mapping[str, Array]

    @property
    def replicates(self) -> int:
        """Number of bootstrap replicates."""
        return len(next(iter(self.blocks.values()))) - 1

    def __getitem__(self, summand: Summand) -> Array:
        """Shape ``(1 + replicates,)``, or ``(1 + replicates, columns)`` of several columns."""
        block = self.blocks[summand.name]
        return block if summand.per_label or summand.width > 1 else block[:, 0]

    def total(self, summand: Summand) -> Array:
        """The sum over a summand's columns, shape ``(1 + replicates,)``."""
        block = self[summand]
        return block if block.ndim == 1 else np.asarray(block.sum(axis=1))

    def number(self, summand: Summand) -> int:
        """The plain sum of a summand that counts utterances."""
        return whole(self.total(summand)[0])


@dataclass(frozen=True)
class Layout:
    """Where the columns of each summand stand beside each other, by name.

    Attributes:
        places: columns of each summand.
        width: number of all columns.
    """

    places: Mapping[str, slice]
    width: int

    @classmethod
    def of(cls, summands: Iterable[Summand], label_count: int) -> Layout:
        """Layout of the summands one after the other, for K labels."""
        places: dict[str, slice] = {}
        end = 0
        for summand in summands:
            start, end = end, end + summand.column_count(label_count)
            places[summand.name] = slice(start, end)
        return cls(places, end)


def ratio(numerator: Array, denominator: Array) -> Array:
    """Quotient of two sums, NaN where the denominator is not positive.

    Example:
        >>> ratio(np.array([1.0, 1.0]), np.array([2.0, 0.0]))
        array([0.5, nan])
    """
    usable = denominator > 0.0
    return np.where(usable, numerator / np.where(usable, denominator, 1.0), np.nan)


def whole(count: np.float64) -> int:
    """A count as the whole number it is."""
    return round(float(count))


# Summands that the metrics of several files share.

ROWS = Summand("rows", lambda scored: scored.present)
"""Utterances the strategy has a row for."""

VALID = Summand("valid", lambda scored: scored.valid)
"""Labelled utterances with a valid prediction."""

INVALID = Summand("invalid", lambda scored: scored.invalid)
"""Labelled utterances whose prediction is invalid."""

PLURALITY = Summand(
    "plurality",
    lambda scored: scored.utterances.plurality_matrix * scored.scorable[:, None],
    per_label=True,
)
"""Scorable utterances by their plurality."""

HIT = Summand(
    "hit", lambda scored: scored.choice * scored.utterances.plurality_matrix, per_label=True
)
"""Scorable utterances whose dominant label is the plurality, by that label."""

PLURALITY_OF_INVALID = Summand(
    "plurality_of_invalid",
    lambda scored: scored.utterances.plurality_matrix * scored.invalid[:, None],
    per_label=True,
)
"""Invalid predictions by the plurality of their utterances."""
