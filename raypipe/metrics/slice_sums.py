"""Weighted sums of every slice of a block of rows, with as few products as there need be.

Sums are whole numbers, so what the slices of a family leave over is exact: of the bins of one kind,
or of the values of a column, the largest has the whole block's sums less those of the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from raypipe.metrics.columns import SlicedColumn, column_of
from raypipe.metrics.exact import weighted_sums
from raypipe.metrics.slices import Indices, family_of, is_bootstrapped

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

_MOST = 8
"""Slices of a family whose sums are held at once, a few megabytes each."""

Slice = tuple[str, Indices]
"""Name and rows of a slice."""


@dataclass(frozen=True, slots=True)
class SliceWeights:
    """How often every row of a block is drawn, shape ``(replicates, rows)``.

    Attributes:
        weights: of most slices.
        by_speaker: of slices by what is a fact about speakers: whole speakers are drawn.
        columns: that the corpus is sliced by.
    """

    weights: Array
    by_speaker: Array
    columns: Sequence[SlicedColumn]

    def of(self, slice_name: str) -> Array:
        """Those of one slice; the first replicate alone, of one without intervals."""
        if not is_bootstrapped(slice_name):
            return self.weights[:1]
        column = column_of(self.columns, slice_name)
        return self.by_speaker if column is not None and column.of_speaker else self.weights


def slice_sums(
    slices: Iterable[Slice], drawn: SliceWeights, units: Array
) -> Iterator[tuple[str, Indices, Integers]]:
    """Name, rows and sums of every slice, in order.

    Args:
        slices: as :func:`raypipe.metrics.slices.slices` finds them, ``all`` first.
        drawn: weights of all rows.
        units: what is summed, shape ``(rows, columns)``, see :mod:`raypipe.metrics.exact`.

    Yields:
        Sums of shape ``(replicates, columns)``; nobody else has the array.
    """
    whole = weighted_sums(drawn.weights, units)
    for _, members in groupby(slices, key=lambda found: family_of(found[0])):
        family = list(members)
        shared = all(drawn.of(name) is drawn.weights for name, _ in family)
        is_whole = sum(rows.size for _, rows in family) == len(units)
        if shared and is_whole and len(family) <= _MOST:
            yield from _parts(family, whole, drawn.weights, units)
        else:
            for name, rows in family:
                yield name, rows, weighted_sums(drawn.of(name)[:, rows], units[rows])


def _parts(
    family: list[Slice], whole: Integers, weights: Array, units: Array
) -> Iterator[tuple[str, Indices, Integers]]:
    """Sums of slices that have every row once."""
    largest = max(range(len(family)), key=lambda at: family[at][1].size)
    sums = {
        at: weighted_sums(weights[:, rows], units[rows])
        for at, (_, rows) in enumerate(family)
        if at != largest
    }
    left = whole.copy()
    for others in sums.values():
        left -= others
    sums[largest] = left
    for at, (name, rows) in enumerate(family):
        yield name, rows, sums.pop(at)
