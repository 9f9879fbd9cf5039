"""Coverage of the intervals of CCC, Pearson, MAE and RMSE: python tests/bench/bench_attributes.py.

Percent of made-up data sets in which the interval holds the value of a corpus of two million.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from raypipe.metrics.attributes import METRICS, attribute_statistics, attribute_units, rating_range
from raypipe.metrics.bootstrap import intervals
from raypipe.metrics.exact import SCALE

Array = NDArray[np.float64]
Draw = Callable[[int, np.random.Generator], tuple[Array, Array]]
REPLICATES, WHOLE = 1000, 2_000_000


def good(count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    truth, noise = rng.normal(size=(2, count))
    return 3 + 0.8 * truth, 3 + 0.8 * (0.8 * truth + 0.6 * noise)


def biased(count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    truth, noise = rng.normal(size=(2, count))
    return 3 + 0.8 * truth, 3.7 + 0.5 * (0.5 * truth + 0.87 * noise)


def clipped(count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    truth, noise = rng.normal(size=(2, count))
    return np.clip(np.round(4 + 1.2 * truth), 1, 5), np.clip(
        np.round(3.5 + 0.6 * truth + noise), 1, 5
    )


def scores(truth: Array, predicted: Array, weights: Array) -> Array:
    """The four scores of every row of weights, shape ``(metrics, rows)``."""
    ratings = np.full((truth.size, 6), np.nan)
    ratings[:, 0], ratings[:, 3:] = truth, predicted[:, None]
    span = rating_range(ratings)
    assert span is not None
    sums = weights @ attribute_units(ratings, np.ones(truth.size, dtype=bool), span) / SCALE
    found = attribute_statistics(sums, span)
    return np.stack([found[f"{metric}=arousal"].values for metric in METRICS])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=1000)
    wanted = parser.parse_args().sets
    print(f"| ratings | n | {' | '.join(METRICS)} |\n| --- | --- | --- | --- | --- | --- |")
    draws: tuple[Draw, ...] = (good, biased, clipped)
    for draw in draws:
        rng = np.random.default_rng(5)
        whole = scores(*draw(WHOLE, rng), np.ones((1, WHOLE)))[:, 0]
        for count in (60, 120, 300):
            held = np.zeros(len(METRICS))
            for _ in range(wanted):
                weights = rng.poisson(1.0, (REPLICATES, count)).astype(np.float64)
                ends = intervals(scores(*draw(count, rng), weights))
                held += (ends[:, 0] <= whole) & (whole <= ends[:, 1])
            cells = " | ".join(f"{100 * share:.1f}" for share in held / wanted)
            print(f"| {draw.__name__} | {count} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
