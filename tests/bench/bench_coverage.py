"""How often the 95 % interval of the calibration error holds the true error; macro-F1's bias.

    python tests/bench/bench_coverage.py --data-sets 1000

Data sets are drawn from predictors whose true error is known: calibrated, overconfident, wrong in
one bin, with spread or constant confidences. The figures stand in raypipe/metrics/README.md. The
interval is offered from the least number of utterances on at which it holds the truth in 92.5 to
97.5 % of data sets, to within the simulation's own error.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raypipe.metrics.bootstrap import intervals, weights_from_hashes
from raypipe.metrics.calibration import debiased_error, error_interval
from raypipe.metrics.catalogue.ece import ECE_BINS, confidence_bin
from raypipe.metrics.classification import ClassCounts, macro_f1

Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Array]

REPLICATES = 1000
SIZES = (60, 120, 300)


@dataclass(frozen=True)
class Predictor:
    """Confidences, and the chance of being right with each."""

    name: str
    confidences: Draw
    right: Callable[[Array], Array]

    @property
    def error(self) -> float:
        """The true calibration error, from two million utterances."""
        confidences = self.confidences(np.random.default_rng(1), 2_000_000)
        gaps = self.right(confidences) - confidences
        sums = np.bincount(confidence_bin(confidences), weights=gaps, minlength=ECE_BINS)
        return float(np.abs(sums).sum() / confidences.size)


def _wide(rng: np.random.Generator, count: int) -> Array:
    return np.asarray(0.25 + 0.75 * rng.beta(1.5, 1.5, count))


def _narrow(rng: np.random.Generator, count: int) -> Array:
    return np.asarray(0.35 + 0.5 * rng.beta(3, 3, count))


def _tens(rng: np.random.Generator, count: int) -> Array:
    values = [0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    return np.asarray(rng.choice(values, count, p=[0.1, 0.2, 0.25, 0.2, 0.15, 0.1]))


def _sharp(rng: np.random.Generator, count: int) -> Array:
    return np.asarray(1 - 0.6 * rng.beta(0.5, 3, count))


def _less(excess: float) -> Callable[[Array], Array]:
    return lambda confidences: np.clip(confidences - excess, 0.0, 1.0)


PREDICTORS = (
    Predictor("calibrated, wide", _wide, _less(0.0)),
    Predictor("calibrated, narrow", _narrow, _less(0.0)),
    Predictor("calibrated, tens of percent", _tens, _less(0.0)),
    Predictor("calibrated, sharp", _sharp, _less(0.0)),
    Predictor("overconfident by .05, wide", _wide, _less(0.05)),
    Predictor("overconfident by .15, wide", _wide, _less(0.15)),
    Predictor("overconfident by .15, narrow", _narrow, _less(0.15)),
    Predictor("overconfident by .15, tens of percent", _tens, _less(0.15)),
    Predictor("overconfident by .3, sharp", _sharp, _less(0.3)),
    Predictor("too extreme, wide", _wide, lambda p: 0.55 + 0.4 * (p - 0.55)),
    Predictor("too extreme, tens of percent", _tens, lambda p: 0.55 + 0.4 * (p - 0.55)),
    Predictor("one bin wrong by .4", _wide, lambda p: np.where((p > 0.7) & (p <= 0.8), p - 0.4, p)),
    Predictor("always certain, right in 55 %", lambda _, n: np.ones(n), lambda p: 0 * p + 0.55),
    Predictor("constant .54, right in 55 %", lambda _, n: np.full(n, 0.54), lambda p: 0 * p + 0.55),
)


def coverage(predictor: Predictor, size: int, data_sets: int) -> str:
    """One row of the table: bias before and after, coverage before and after, in percent."""
    truth = predictor.error
    rng = np.random.default_rng(size)
    held, percentile = np.zeros(data_sets), np.zeros(data_sets)
    plug_ins, estimates = np.zeros(data_sets), np.zeros(data_sets)
    for number in range(data_sets):
        confidences = predictor.confidences(rng, size)
        gap = (rng.random(size) < predictor.right(confidences)) - confidences
        gaps = np.zeros((size, ECE_BINS))
        gaps[np.arange(size), confidence_bin(confidences)] = gap
        hashes = rng.integers(0, 2**63, size).astype(np.uint64)
        weights = weights_from_hashes(hashes, REPLICATES, 0).T.astype(np.float64)
        mean, variances = gaps.mean(axis=0), (gaps**2).sum(axis=0) / size**2
        replicates = weights @ gaps / weights.sum(axis=1, keepdims=True)
        low, high = error_interval(mean, variances, replicates - mean)
        held[number] = low - 1e-9 <= truth <= high + 1e-9
        low, high = intervals(np.abs(replicates).sum(axis=1)[None])[0]
        percentile[number] = low - 1e-9 <= truth <= high + 1e-9
        plug_ins[number] = np.abs(mean).sum()
        estimates[number] = debiased_error(mean, variances)
    share = held.mean()
    error = 1.96 * np.sqrt(share * (1 - share) / data_sets)
    cells = (
        predictor.name,
        str(size),
        f"{truth:.3f}",
        f"{plug_ins.mean() - truth:+.3f}",
        f"{estimates.mean() - truth:+.3f}",
        f"{100 * percentile.mean():.1f}",
        f"{100 * share:.1f} ± {100 * error:.1f}",
    )
    return f"| {' | '.join(cells)} |"


def macro_f1_bias(data_sets: int) -> list[str]:
    """Rows of the table of macro-F1's bias, for CREMA-D's share of labels and for equal shares."""
    rng = np.random.default_rng(0)
    crema_d = np.array([0.54, 0.16, 0.09, 0.08, 0.07, 0.06])
    rows = []
    for name, shares in (("CREMA-D's shares", crema_d), ("equal shares", np.full(6, 1 / 6))):
        for right in (0.6, 0.2):
            joint = shares[:, None] * (right * np.eye(6) + (1 - right) * shares)
            truth = float(macro_f1(_counts(joint)))
            for size in (30, 60, 120, 300, 1000):
                drawn = rng.multinomial(size, joint.ravel(), data_sets).reshape(-1, 6, 6)
                values = macro_f1(_counts(drawn.astype(np.float64)))
                bias, spread = values.mean() - truth, values.std()
                cells = (
                    f"{name}, macro-F1 {truth:.2f}",
                    str(size),
                    f"{drawn.sum(axis=2).min(axis=1).mean():.0f}",
                    f"{bias:+.3f}",
                    f"{bias / spread:+.2f}",
                )
                rows.append(f"| {' | '.join(cells)} |")
    return rows


def _counts(joint: Array) -> ClassCounts:
    hits = np.diagonal(joint, axis1=-2, axis2=-1)
    return ClassCounts(hits, joint.sum(axis=-2) - hits, joint.sum(axis=-1) - hits)


def main() -> None:
    """Print both tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-sets", type=int, default=1000)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    arguments = parser.parse_args()
    print("| predictor | n | true ECE | bias, plug-in | bias, `ece` | percentile, % | held, % |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for predictor in PREDICTORS:
        for size in arguments.sizes:
            print(coverage(predictor, size, arguments.data_sets), flush=True)
    print("\n| labels | n | of the rarest | bias | in standard errors |")
    print("| --- | --- | --- | --- | --- |")
    print("\n".join(macro_f1_bias(4 * arguments.data_sets)))


if __name__ == "__main__":
    main()
