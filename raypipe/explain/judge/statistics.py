"""Win rate, position bias and inconsistency of a judge's verdicts, with intervals by speaker."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raypipe.explain.judge.verdicts import JudgedPair
from raypipe.metrics.bootstrap import FEW_SPEAKERS, REPLICATES, interval, poisson_weights

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ClusteredMean:
    """A number with its 95 % interval; all three are NaN without data.

    The ends are NaN, too, with fewer than :data:`~raypipe.metrics.bootstrap.FEW_SPEAKERS` clusters.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class JudgeTally:
    """What a judge's verdicts on some pairs come to.

    Attributes:
        group: ``overall``, or a label.
        pairs: that were judged.
        speakers: of the pairs; a pair without a speaker counts as one.
        decided: pairs with two verdicts that can be read; rates are of these.
        wins: pairs in which both verdicts prefer the first system.
        losses: pairs in which both prefer the second.
        ties: pairs with two ties.
        inconsistent: pairs whose verdicts differ.
        invalid: verdicts, two a pair, that cannot be read.
        win_rate: (wins + (ties + inconsistent) / 2) / decided.
        position_bias: share of verdicts for A less a half, a tie being half a verdict for A, of
            all that can be read; 0.5 for a judge that always says A.
        inconsistency: inconsistent / decided.
    """

    group: str
    pairs: int
    speakers: int
    decided: int
    wins: int
    losses: int
    ties: int
    inconsistent: int
    invalid: int
    win_rate: ClusteredMean
    position_bias: ClusteredMean
    inconsistency: ClusteredMean


def tallies_of(
    pairs: Iterable[JudgedPair], *, replicates: int = REPLICATES, seed: int = 0
) -> list[JudgeTally]:
    """The whole of a judge's verdicts, then every label by itself.

    Intervals are percentiles of a Poisson bootstrap that draws speakers: a speaker's pairs are
    drawn together. A pair without a speaker is drawn by itself. With fewer than
    :data:`~raypipe.metrics.bootstrap.FEW_SPEAKERS` there are none.

    Args:
        pairs: with their verdicts.
        replicates: of the bootstrap.
        seed: of the bootstrap.
    """
    pairs = list(pairs)
    labels = sorted({pair.label for pair in pairs})
    groups = [("overall", pairs)]
    groups += [(label, [pair for pair in pairs if pair.label == label]) for label in labels]
    return [_tally(name, rows, replicates, seed) for name, rows in groups]


def clustered(
    sums: Array, counts: Array, clusters: Sequence[str], *, replicates: int, seed: int
) -> ClusteredMean:
    """A mean and its 95 % interval by a Poisson bootstrap of clusters.

    Args:
        sums: of what is averaged, by row, shape ``(rows,)``.
        counts: of what is averaged, by row, shape ``(rows,)``.
        clusters: name of every row's cluster.
        replicates: of the bootstrap.
        seed: of the bootstrap.
    """
    if not counts.sum():
        return ClusteredMean(np.nan, np.nan, np.nan)
    names, place = np.unique(np.asarray(clusters, dtype=object).astype(str), return_inverse=True)
    if names.size < FEW_SPEAKERS:
        return ClusteredMean(float(sums.sum() / counts.sum()), np.nan, np.nan)
    cluster_sums, cluster_counts = np.bincount(place, sums), np.bincount(place, counts)
    weights = poisson_weights(names.tolist(), replicates, seed).astype(np.float64)
    total = cluster_counts @ weights
    means = np.divide(
        cluster_sums @ weights, total, out=np.full(replicates, np.nan), where=total > 0
    )
    low, high = interval(means)
    return ClusteredMean(float(sums.sum() / counts.sum()), low, high)


def _tally(group: str, pairs: Sequence[JudgedPair], replicates: int, seed: int) -> JudgeTally:
    clusters = [
        f"speaker {pair.speaker}" if pair.speaker is not None else f"utterance {pair.utterance_id}"
        for pair in pairs
    ]

    def estimate(sums: Array, counts: Array) -> ClusteredMean:
        return clustered(sums, counts, clusters, replicates=replicates, seed=seed)

    wins = np.array([np.nan if pair.win is None else pair.win for pair in pairs])
    decided = ~np.isnan(wins)
    differs = np.array([pair.is_consistent is False for pair in pairs], dtype=bool)
    for_a = np.array([_share_of_a(verdict) for pair in pairs for verdict in _verdicts(pair)])
    for_a = for_a.reshape(-1, 2)
    readable = ~np.isnan(for_a)
    return JudgeTally(
        group=group,
        pairs=len(pairs),
        speakers=len(set(clusters)),
        decided=int(decided.sum()),
        wins=int((wins == 1).sum()),
        losses=int((wins == 0).sum()),
        ties=int(((wins == 0.5) & ~differs).sum()),
        inconsistent=int(differs.sum()),
        invalid=int((~readable).sum()),
        win_rate=estimate(np.nan_to_num(wins), decided.astype(np.float64)),
        position_bias=estimate(
            np.nan_to_num(for_a - 0.5).sum(axis=1), readable.sum(axis=1).astype(np.float64)
        ),
        inconsistency=estimate(differs.astype(np.float64), decided.astype(np.float64)),
    )


def _verdicts(pair: JudgedPair) -> tuple[str | None, str | None]:
    return pair.first_as_a, pair.second_as_a


def _share_of_a(verdict: str | None) -> float:
    return np.nan if verdict is None else {"A": 1.0, "B": 0.0}.get(verdict, 0.5)
