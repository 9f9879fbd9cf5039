"""Exact quantiles and histograms of many values of which few are different."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from raypipe.reporting.corpus.findings import HistogramBin, Spread

Array = NDArray[np.float64]

_EDGE = 1e-9  # values on an edge up to rounding lie on it
_STEPS = (1.0, 2.0, 5.0)


class RepeatedValues:
    """Numbers and how often each occurs.

    Entropies of votes, ratings and durations in whole samples repeat themselves: memory grows with
    the number of different values, not with that of utterances.
    """

    def __init__(self) -> None:
        self.counts: Counter[float] = Counter()

    def add(self, value: float) -> None:
        """Count one more value, which is finite."""
        self.counts[value] += 1

    def sorted(self) -> tuple[Array, NDArray[np.int64]]:
        """The different values, ascending, and how often each occurs."""
        pairs = sorted(self.counts.items())
        return (
            np.array([value for value, _ in pairs], dtype=np.float64),
            np.array([times for _, times in pairs], dtype=np.int64),
        )

    def spread(self) -> Spread | None:
        """Quantiles, mean and standard deviation of the values; None without any.

        Quantiles are interpolated between neighbours, as numpy's default does.
        """
        values, times = self.sorted()
        n = int(times.sum())
        if n == 0:
            return None
        quantiles = [float(q) for q in _at(values, times, np.linspace(0, 1, 5) * (n - 1))]
        mean = math.fsum(values * times) / n
        squares = math.fsum((values - mean) ** 2 * times)
        return Spread(
            n=n,
            minimum=quantiles[0],
            q25=quantiles[1],
            median=quantiles[2],
            q75=quantiles[3],
            maximum=quantiles[4],
            mean=mean,
            std=math.sqrt(squares / (n - 1)) if n > 1 else None,
        )

    def histogram(self, edges: Array) -> tuple[HistogramBin, ...]:
        """Values in bins ``[low, high)``, the last one closed; those outside are left out."""
        values, times = self.sorted()
        index = np.searchsorted(edges - _EDGE, values, side="right") - 1
        last = len(edges) - 2
        index[(index == last + 1) & (values <= edges[-1] + _EDGE)] = last
        inside = (index >= 0) & (index <= last)
        counts = np.bincount(index[inside], weights=times[inside], minlength=last + 1)
        return tuple(
            HistogramBin(
                low=float(edges[at]), high=float(edges[at + 1]), utterances=int(counts[at])
            )
            for at in range(last + 1)
        )

    def steps(self, edges: Array) -> tuple[HistogramBin, ...]:
        """Values of exactly ``edges[0]``, then in bins ``(low, high]``."""
        values, times = self.sorted()
        index = np.searchsorted(edges + _EDGE, values, side="left")
        counts = np.bincount(index, weights=times, minlength=len(edges))
        lows = [edges[0], *edges[:-1]]
        return tuple(
            HistogramBin(low=float(low), high=float(high), utterances=int(count))
            for low, high, count in zip(lows, edges, counts, strict=True)
        )

    def equal_count(self, bins: int) -> tuple[HistogramBin, ...]:
        """Bins whose counts differ by one at most, with the smallest and largest value in each.

        Equal values may fall on both sides of an edge. Empty bins are left out.
        """
        values, times = self.sorted()
        n = int(times.sum())
        starts = [position * n // bins for position in range(bins + 1)]
        parts = []
        for start, stop in pairwise(starts):
            if stop > start:
                low, high = _at(values, times, np.array([start, stop - 1], dtype=np.float64))
                parts.append(
                    HistogramBin(low=float(low), high=float(high), utterances=stop - start)
                )
        return tuple(parts)


def _at(values: Array, times: NDArray[np.int64], ranks: Array) -> Array:
    """Values at ranks from 0, interpolated between whole ones."""
    ends = np.cumsum(times)
    below, share = np.floor(ranks), ranks - np.floor(ranks)
    low = values[np.searchsorted(ends, below, side="right")]
    high = values[np.searchsorted(ends, np.ceil(ranks), side="right")]
    return np.asarray(low + (high - low) * share)


def even_edges(low: float, high: float, most: int) -> Array:
    """Edges of at most ``most`` bins of 1, 2 or 5 times a power of ten that hold low to high.

    Example:
        >>> even_edges(1.27, 5.01, 10)
        array([1. , 1.5, 2. , 2.5, 3. , 3.5, 4. , 4.5, 5. , 5.5])
    """
    width = high - low
    if width < 1e-6:
        return np.array([math.floor(low), math.floor(low) + 1.0])
    power = math.floor(math.log10(width / most)) - 1
    for exponent in range(power, power + 4):
        for step in _STEPS:
            size = step * 10.0**exponent
            first = math.floor(low / size + _EDGE)
            last = max(math.ceil(high / size - _EDGE), first + 1)
            if last - first <= most:
                return np.round(np.arange(first, last + 1) * size, 9)
    raise AssertionError(f"no even edges from {low} to {high}")
