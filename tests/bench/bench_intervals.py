"""How often the 95 % intervals of the metrics hold the true value, for every row of ``metrics/``.

    python tests/bench/bench_intervals.py --data-sets 1000

Data sets of 60 and of 300 utterances are drawn from a world in which annotators vote from each
utterance's own distribution and three predictors answer: a close one, a sharp and overconfident
one, and one that does not listen; each gives some invalid answers. The true values are those of
400,000 utterances, against the data set's own prior where a row depends on it. Calibration error:
``bench_coverage.py``. The figures stand in raypipe/metrics/README.md.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from raypipe.explain.judge.statistics import clustered
from raypipe.labels import LabelSet
from raypipe.metrics.baselines import HUMANS, PRIOR, UNIFORM, prior, uniform
from raypipe.metrics.bootstrap import weights_from_hashes
from raypipe.metrics.counted import counted_rows, predicted_values
from raypipe.metrics.exact import BLOCK, SCALE, ValueCounts, to_units, weighted_sums
from raypipe.metrics.humans import halvings
from raypipe.metrics.metric import SKILL_SUFFIX
from raypipe.metrics.metric_rows import MetricRow, metric_rows
from raypipe.metrics.statistics import (
    difference_statistics,
    difference_summands,
    human_statistics,
    human_summands,
    named_sums,
    score,
    statistics,
    summands,
)
from raypipe.metrics.utterances import Utterances

Array = NDArray[np.float64]

LABELS = LabelSet(("anger", "disgust", "fear", "happiness", "neutral", "sadness"))
SHARES = np.array([0.16, 0.09, 0.10, 0.13, 0.40, 0.12])
K = len(LABELS)
TRUE_SIZE = 400_000
PRIOR_SIZE = 4_000
PAIRS_EACH = 5
KEY = ("m", "p", "", "all")


def draw(rng: np.random.Generator, size: int) -> tuple[Utterances, dict[str, Array]]:
    """Utterances with votes, and what three predictors answer."""
    main = rng.choice(K, size, p=SHARES)
    clarity = rng.beta(1.2, 1.2, size)[:, None]
    heard = clarity * np.eye(K)[main] + (1 - clarity) * rng.dirichlet(2 * SHARES * K, size)
    n_votes = rng.integers(5, 11, size)
    votes = rng.multinomial(n_votes, heard)
    top = votes.max(axis=1)
    agreed = (votes == top[:, None]).sum(axis=1) == 1
    speakers = [f"s{number}" for number in rng.integers(0, 30, size)]
    utterances = Utterances(
        hashes=rng.integers(1, 2**63, size).astype(np.uint64),
        truth=votes / n_votes[:, None],
        plurality=np.where(agreed, votes.argmax(axis=1), -1),
        union=votes > 0,
        n_votes=n_votes,
        splits=[None] * size,
        speakers=list(speakers),
        columns={},
        ratings=np.full((size, 6), np.nan),
        asked=np.zeros(size, dtype=np.bool_),
    )
    close = 0.7 * heard + 0.3 * rng.dirichlet(np.ones(K), size)
    other = 0.8 * heard + 0.2 * rng.dirichlet(np.ones(K), size)
    sharp = other**3 / (other**3).sum(axis=1, keepdims=True)
    deaf = rng.dirichlet(6 * SHARES, size)
    predictions = {"close": close, "sharp": np.round(sharp, 2), "deaf": deaf}
    predictions["sharp"] /= predictions["sharp"].sum(axis=1, keepdims=True)
    for probs in predictions.values():
        probs[rng.random(size) < 0.05] = np.nan
    return utterances, predictions


def rows_of(
    utterances: Utterances,
    predictions: Mapping[str, Array],
    replicates: int,
    median: float,
    shares: Array | None = None,
) -> dict[tuple[str, str], MetricRow]:
    """Every row of ``metrics/`` on all utterances, by predictor or pair and by name.

    Args:
        utterances: the truth.
        predictions: by predictor.
        replicates: of the bootstrap.
        median: of the entropy.
        shares: what ``prior`` answers, shape ``(labels,)``; None for what the utterances say.
    """
    size = utterances.hashes.size
    everyone = np.ones(size, dtype=np.bool_)
    scored = {name: score(utterances, probs, everyone) for name, probs in predictions.items()}
    if shares is None:
        constant = prior(utterances.truth, utterances.speakers)
    else:
        constant = np.tile(shares, (size, 1))
    scored[PRIOR] = score(utterances, constant, everyone)
    scored[UNIFORM] = score(utterances, uniform(size, K), everyone)
    humans = human_summands(halvings(utterances), utterances.truth.shape)
    blocks = {name: summands(item, scored[PRIOR], humans) for name, item in scored.items()}
    blocks[HUMANS] = humans
    pairs = (("close", "sharp"), ("close", "deaf"), ("close", PRIOR))
    gaps = {pair: difference_summands(scored[pair[0]], scored[pair[1]]) for pair in pairs}
    joined = to_units(np.hstack([*blocks.values(), *gaps.values()]))
    widths = [block.shape[1] for block in (*blocks.values(), *gaps.values())]
    sums = np.zeros((1 + replicates, joined.shape[1]), dtype=np.int64)
    for start in range(0, size, BLOCK):
        part = slice(start, start + BLOCK)
        weights = np.ones((1 + replicates, utterances.hashes[part].size))
        weights[1:] = weights_from_hashes(utterances.hashes[part], replicates, 0).T
        sums += weighted_sums(weights, joined[part])
    parts = dict(
        zip([*blocks, *gaps], np.split(sums / SCALE, np.cumsum(widths)[:-1], axis=1), strict=True)
    )
    rows: list[tuple[str, MetricRow]] = []
    for name in blocks:
        named = named_sums(parts[name], LABELS)
        values = human_statistics(named) if name == HUMANS else statistics(named)
        rows += [(name, row) for row in metric_rows(KEY, values)]
    for pair in pairs:
        found = metric_rows(KEY, difference_statistics(parts[pair]), versus=pair[1])
        rows += [(" - ".join(pair), row) for row in found]
    ambiguous = utterances.entropy > median
    for name in predictions:
        counts = predicted_values(scored[name], ambiguous)
        stated = {row: values.counts(np.arange(size)) for row, values in counts.items()}
        rows += [(name, row) for row in counted_rows(KEY, _filled(stated), 0)]
    return {(name, row.metric): row for name, row in rows}


def _filled(counts: dict[str, ValueCounts]) -> defaultdict[str, ValueCounts]:
    """Counts, and empty ones of the uncertainties that no predictor states."""
    none = ValueCounts.of(np.zeros(0), np.zeros(0, dtype=np.int64), 2)
    return defaultdict(lambda: none, counts)


def is_of_prior(name: str, metric: str) -> bool:
    """Whether a row depends on the predictor ``prior``, which is made from the corpus itself."""
    return name.endswith(PRIOR) or metric.endswith(SKILL_SUFFIX)


def coverage(drawn: Array) -> str:
    """A cell: percent of data sets whose interval holds the true value, of those that have one.

    Args:
        drawn: both ends of the interval in every data set, NaN where there is none, and the true
            value, shape ``(data_sets, 3)``.
    """
    given = drawn[~np.isnan(drawn[:, 0])]
    if len(given) < len(drawn) / 100:
        return "withheld"
    low, high, true = given.T
    share = ((low - 1e-12 <= true) & (true <= high + 1e-12)).mean()
    error = 196 * np.sqrt(share * (1 - share) / len(given))
    part = len(given) / len(drawn)
    return f"{100 * share:.1f} ± {error:.1f}" + (f" of {100 * part:.0f} %" if part < 1 else "")


class TrueValues:
    """What intervals are to hold: the values of a large corpus.

    Of rows that depend on ``prior`` those against the very shares that a data set's own ``prior``
    answers with: it is what the predictor is compared with.
    """

    def __init__(self) -> None:
        self._utterances, self._predictions = draw(np.random.default_rng(1), TRUE_SIZE)
        self.median = float(np.median(self._utterances.entropy))
        self.rows = rows_of(self._utterances, self._predictions, 0, self.median)
        self._part = self._utterances.take(np.arange(TRUE_SIZE) < PRIOR_SIZE)
        self._of_part = self._against(self._utterances.truth.mean(axis=0))

    def of(self, utterances: Utterances) -> dict[tuple[str, str], float]:
        """The values that a data set's intervals are to hold, NaN where there is none."""
        known = {
            key: math.nan if row.value is None else row.value for key, row in self.rows.items()
        }
        against = self._against(utterances.truth.mean(axis=0))
        for key, value in against.items():
            known[key] += value - self._of_part[key]
        return known

    def _against(self, shares: Array) -> dict[tuple[str, str], float]:
        """Of rows that depend on ``prior``, on a part of the corpus, under other shares."""
        part = {name: probs[:PRIOR_SIZE] for name, probs in self._predictions.items()}
        rows = rows_of(self._part, part, 0, self.median, shares)
        return {
            key: row.value
            for key, row in rows.items()
            if is_of_prior(*key) and row.value is not None
        }


def clusters(data_sets: int) -> list[str]:
    """Coverage of rates over few and many speakers: win rates of a judge, word errors."""
    rng = np.random.default_rng(7)
    lines = []
    for speakers in (10, 20, 60):
        names = [f"s{number // PAIRS_EACH}" for number in range(speakers * PAIRS_EACH)]
        drawn = np.full((data_sets, 3), 0.5)
        for number in range(data_sets):
            own = rng.beta(4, 4, speakers)  # a mean of 1/2, and speakers differ
            wins = (rng.random((speakers, PAIRS_EACH)) < own[:, None]).ravel().astype(np.float64)
            mean = clustered(wins, np.ones(wins.size), names, replicates=1000, seed=number)
            drawn[number, :2] = mean.low, mean.high
        cell = coverage(drawn)
        lines.append(f"| rate over {speakers} speakers, {PAIRS_EACH} pairs each | {cell} |")
    return lines


def main() -> None:
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-sets", type=int, default=1000)
    parser.add_argument("--sizes", type=int, nargs="+", default=[60, 300])
    parser.add_argument("--replicates", type=int, default=1000)
    arguments = parser.parse_args()
    true_values = TrueValues()
    drawn: dict[tuple[str, str, int], list[tuple[float, float, float]]] = defaultdict(list)
    for size in arguments.sizes:
        rng = np.random.default_rng(size)
        for _ in range(arguments.data_sets):
            utterances, predictions = draw(rng, size)
            true = true_values.of(utterances)
            rows = rows_of(utterances, predictions, arguments.replicates, true_values.median)
            for (name, metric), row in rows.items():
                low, high = (math.nan if end is None else end for end in (row.ci_low, row.ci_high))
                drawn[name, metric, size].append((low, high, true[name, metric]))
    print("| row | of | true | " + " | ".join(f"n = {size}, %" for size in arguments.sizes) + " |")
    print("| --- | --- | --- |" + " --- |" * len(arguments.sizes))
    for (name, metric), row in true_values.rows.items():
        if row.value is None or (name in (PRIOR, UNIFORM) and metric not in ("js", "bc")):
            continue  # constant predictors have no other values of interest
        cells = [coverage(np.array(drawn[name, metric, size])) for size in arguments.sizes]
        if any(cell != "withheld" for cell in cells):
            print(f"| {metric} | {name} | {row.value:.3f} | {' | '.join(cells)} |", flush=True)
    print("\n".join(clusters(arguments.data_sets)))


if __name__ == "__main__":
    main()
