"""Coverage of the differences of slices from the rest: python tests/bench/bench_slices.py.

Made-up corpora in which no slice differs, so that the truth is 0 for every slice of a column. An
interval of :func:`raypipe.metrics.rest.together` is to hold 0 for all slices of a column at once in
95 % of the corpora. Where whole speakers are drawn, utterances of one speaker depend on each other.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from raypipe.metrics.columns import FEWEST_SPEAKERS, FEWEST_UTTERANCES
from raypipe.metrics.rest import together

Array = NDArray[np.float64]
REPLICATES = 1000
PER_SPEAKER = 20


def values(kind: str, groups: int, each: int, rng: np.random.Generator) -> Array:
    """Scores, shape ``(groups, each)``; those of a group are alike where ``each`` is above 1."""
    if kind == "js":  # skewed, as divergences are
        own = rng.normal(0.0, 0.6, (groups, 1)) if each > 1 else 0.0
        return np.exp(0.5 * (own + rng.normal(0.0, 1.0, (groups, each))) - 2.0)
    share = float(kind)
    right = np.full((groups, 1), share)
    if each > 1:
        right = rng.beta(8 * share, 8 * (1 - share), (groups, 1))
    return (rng.random((groups, each)) < right).astype(np.float64)


def holds(kind: str, sizes: tuple[int, ...], each: int, rng: np.random.Generator) -> bool:
    """Whether the intervals of all slices of one made-up column hold 0."""
    sums, counts = [], []
    for size in sizes:
        made = values(kind, size, each, rng)
        weights = np.vstack([np.ones(size), rng.poisson(1.0, (REPLICATES, size))])
        sums.append(weights @ made.sum(axis=1))
        counts.append(weights.sum(axis=1) * each)
    total, count = np.sum(sums, axis=0), np.sum(counts, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = [s / n - (total - s) / (count - n) for s, n in zip(sums, counts, strict=True)]
    return all(low <= 0.0 <= high for low, high in together(apart))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpora", type=int, default=2000)
    wanted = parser.parse_args().corpora
    few, speakers = FEWEST_UTTERANCES, FEWEST_SPEAKERS
    columns = [
        ("utterances", (few, few), 1),
        ("utterances", (few, 300), 1),
        ("utterances", (90, 90, 300, 1000), 1),
        ("utterances", (120,) * 5, 1),
        ("utterances", (270,) * 10, 1),
        ("speakers", (speakers, speakers), PER_SPEAKER),
        ("speakers", (speakers, 76), PER_SPEAKER),
        ("speakers", (20, 20, 51), PER_SPEAKER),
        ("speakers", (30, 31, 30), PER_SPEAKER),
        ("speakers", (48, 43), PER_SPEAKER),
    ]
    print("| drawn | slices | js | accuracy .57 | accuracy .85 |\n| --- | --- | --- | --- | --- |")
    for drawn, sizes, each in columns:
        cells = []
        for kind in ("js", "0.57", "0.85"):
            rng = np.random.default_rng([len(sizes), sizes[0], each])
            share = np.mean([holds(kind, sizes, each, rng) for _ in range(wanted)])
            half = 1.96 * np.sqrt(share * (1 - share) / wanted)
            cells.append(f"{100 * share:.1f} ± {100 * half:.1f}")
        print(f"| {drawn} | {', '.join(map(str, sizes))} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
