"""Sums and value counts that merge in any order to the same bits.

Floating-point sums depend on their order, so a number would change with the number of workers.
Every summand is therefore rounded once to a multiple of 2^-30 (4.7e-10 at most from its value)
and added as an integer. Weighted sums over a block of rows run as one float64 matrix product, in
which every partial sum stays below 2^53 and is exact.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

SCALE = 2.0**30
"""Integer units in 1. An int64 total holds 3e8 summands of 23 nats, the largest KL there is."""

LIMIT = 256.0
"""Largest magnitude of a summand: only ``r2_det`` can go beyond it, and is cut at -256."""

BLOCK = 1024
"""Rows per matrix product: 1024 rows x weight 16 x 256 x 2^30 is 2^52."""

_MOST_VALUES = 8192


def to_units(values: Array) -> Array:
    """Values as whole numbers of units 2^-30, still float64; NaN, "no summand", becomes 0.

    Example:
        >>> to_units(np.array([1.0, np.nan]))
        array([1.07374182e+09, 0.00000000e+00])
    """
    return np.rint(np.clip(np.nan_to_num(values, nan=0.0), -LIMIT, LIMIT) * SCALE)


def weighted_sums(weights: Array, units: Array) -> Integers:
    """Exact weighted sums of one block of rows.

    Args:
        weights: whole numbers from 0 to 16, shape ``(replicates, rows)``, rows <= 1024.
        units: from :func:`to_units`, shape ``(rows, columns)``.

    Returns:
        Shape ``(replicates, columns)``, in units.

    Raises:
        ValueError: for more rows than a block may have.

    Example:
        >>> weighted_sums(np.array([[1.0, 2.0]]), np.array([[5.0], [7.0]]))
        array([[19]])
    """
    if units.shape[0] > BLOCK:
        raise ValueError(f"a block has at most {BLOCK} rows, got {units.shape[0]}")
    return (weights @ units).astype(np.int64)


@dataclass(frozen=True, slots=True)
class ValueCounts:
    """How often each value occurred in each class: exact for few values, bounded for many.

    While at most 8,192 distinct values (in units of 2^-30) are known, all are kept. Beyond that,
    values are joined into cells of 2^level units, with the smallest level at which they fit. The
    level depends on the set of values alone, so merging is order-free. For values in [0, 1] a
    cell is then at most 2^-12 wide.

    Attributes:
        level: cells are ``2**level`` units wide.
        cells: values divided by the cell width, rounded down, ascending, shape ``(cells,)``.
        counts: shape ``(cells, classes)``.
    """

    level: int
    cells: Integers
    counts: Integers

    @classmethod
    def of(cls, values: Array, classes: Integers, class_count: int) -> ValueCounts:
        """Count values, shape ``(rows,)``, each in its class, shape ``(rows,)``."""
        return cls.of_units(to_units(values), classes, class_count)

    @classmethod
    def of_units(cls, units: Array, classes: Integers, class_count: int) -> ValueCounts:
        """:meth:`of` values in units, from :func:`to_units`.

        Example:
            >>> ValueCounts.of_units(np.array([5.0, 5.0, 7.0]), np.array([0, 1, 0]), 2).counts
            array([[1, 1],
                   [1, 0]])
        """
        cells, index = np.unique(units.astype(np.int64), return_inverse=True)
        counts = np.bincount(index * class_count + classes, minlength=cells.size * class_count)
        return cls(0, cells, counts.reshape(cells.size, class_count))._fitted()

    def merge(self, other: ValueCounts) -> ValueCounts:
        """Counts of both; the order of merges does not matter."""
        level = max(self.level, other.level)
        left, right = self._coarsened(level), other._coarsened(level)
        return _joined(
            level,
            np.concatenate([left.cells, right.cells]),
            np.concatenate([left.counts, right.counts]),
        )._fitted()

    def values(self) -> Array:
        """The value of every cell (its middle where cells are wide), shape ``(cells,)``."""
        width = 2**self.level
        return np.asarray((self.cells * width + (width - 1) / 2.0) / SCALE)

    def median(self, level: float = 0.95) -> tuple[float, float, float]:
        """Median over all classes, and a distribution-free interval from the order statistics.

        The interval runs between the values of ranks n/2 -+ z sqrt(n)/2 (binomial
        approximation), so it needs no replicates.

        Returns:
            Value, lower, upper end; NaN without values.
        """
        cumulative = np.cumsum(self.counts.sum(axis=1))
        total = int(cumulative[-1]) if cumulative.size else 0
        if total == 0:
            return float("nan"), float("nan"), float("nan")
        values = self.values()

        def ranked(rank: int) -> float:
            inside = min(max(rank, 0), total - 1)
            return float(values[np.searchsorted(cumulative, inside, side="right")])

        middle = (ranked((total - 1) // 2) + ranked(total // 2)) / 2.0
        half = float(ndtri(0.5 + level / 2.0)) * np.sqrt(total) / 2.0
        return (
            middle,
            ranked(int(np.floor(total / 2.0 - half)) - 1),
            ranked(int(np.ceil(total / 2.0 + half))),
        )

    def _coarsened(self, level: int) -> ValueCounts:
        if level == self.level:
            return self
        return _joined(level, self.cells >> (level - self.level), self.counts)

    def _fitted(self) -> ValueCounts:
        fitted = self
        while fitted.cells.size > _MOST_VALUES:
            fitted = fitted._coarsened(fitted.level + 1)
        return fitted


def _joined(level: int, cells: Integers, counts: Integers) -> ValueCounts:
    unique, index = np.unique(cells, return_inverse=True)
    joined = np.zeros((unique.size, counts.shape[1]), dtype=np.int64)
    np.add.at(joined, index, counts)
    return ValueCounts(level, unique, joined)


def merge_counts(parts: Iterable[ValueCounts]) -> ValueCounts:
    """All parts merged into one.

    Raises:
        ValueError: without parts.
    """
    merged: ValueCounts | None = None
    for part in parts:
        merged = part if merged is None else merged.merge(part)
    if merged is None:
        raise ValueError("nothing to merge")
    return merged
