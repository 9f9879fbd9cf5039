"""Poisson bootstrap: weights that any worker can compute alone, and percentile intervals."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray
from scipy.special import pdtr

Array = NDArray[np.float64]

REPLICATES = 1000
"""Replicates of a published interval."""

FEW_SPEAKERS = 10
"""Speakers below which no interval of a bootstrap that draws speakers is given: it would hold the
true value in 88 % of cases with five of them, and in 92.5 % or more from here on
(``tests/bench/bench_intervals.py``)."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
# P(W <= k) scaled to 64 bits: a uniform word u gives the number of thresholds at or below it.
# Beyond k = 16 the tail holds less than 2^-48: such a weight never matters.
_THRESHOLDS = np.array(
    [int(probability * 2.0**64) for probability in pdtr(np.arange(16), 1.0)],
    dtype=np.uint64,
)
# Almost every word is settled by its top 16 bits; only those in a threshold's cell need a search.
_LOOKUP = np.searchsorted(
    _THRESHOLDS, np.arange(2**16, dtype=np.uint64) << np.uint64(48), side="right"
).astype(np.uint8)
_UNSETTLED = np.zeros(2**16, dtype=np.bool_)
_UNSETTLED[(_THRESHOLDS >> np.uint64(48)).astype(np.int64)] = True


def id_hashes(utterance_ids: Sequence[str]) -> NDArray[np.uint64]:
    """64-bit BLAKE2b hash of every id, the same on every machine; shape ``(utterances,)``.

    Example:
        >>> id_hashes(["1001_IEO_NEU_XX"])
        array([12938788253664000381], dtype=uint64)
    """
    digests = b"".join(
        blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        for name in utterance_ids
    )
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def poisson_weights(
    utterance_ids: Sequence[str], replicates: int = REPLICATES, seed: int = 0
) -> NDArray[np.uint8]:
    """Poisson(1) weight of every utterance in every bootstrap replicate.

    A weight depends on (seed, utterance id, replicate) alone, so shards can be reduced anywhere
    and in any order, and all strategies share the weights: their differences are paired.

    Args:
        utterance_ids: unique in the corpus.
        replicates: number of replicates R.
        seed: of the bootstrap.

    Returns:
        Shape ``(utterances, replicates)``, values in 0..16.

    Example:
        >>> poisson_weights(["a", "b"], replicates=4, seed=1).shape
        (2, 4)
    """
    return weights_from_hashes(id_hashes(utterance_ids), replicates, seed)


def weights_from_hashes(
    hashes: NDArray[np.uint64], replicates: int, seed: int
) -> NDArray[np.uint8]:
    """:func:`poisson_weights` of ids that are hashed already, shape ``(utterances,)``."""
    words = random_words(hashes, replicates, seed)
    top = (words >> np.uint64(48)).astype(np.uint16)
    weights = _LOOKUP[top]
    unsettled = _UNSETTLED[top]
    weights[unsettled] = np.searchsorted(_THRESHOLDS, words[unsettled], side="right")
    return weights


def replicate_weights(hashes: NDArray[np.uint64], replicates: int, seed: int) -> Array:
    """Ones, then the bootstrap weights: shape ``(1 + replicates, utterances)``."""
    weights = np.ones((1 + replicates, hashes.size))
    weights[1:] = weights_from_hashes(hashes, replicates, seed).T
    return weights


def random_words(hashes: NDArray[np.uint64], count: int, seed: int) -> NDArray[np.uint64]:
    """Random 64-bit words of every hash, the same on every machine.

    Args:
        hashes: shape ``(utterances,)``.
        count: number of words of each.
        seed: of all of them.

    Returns:
        Shape ``(utterances, count)``.
    """
    start = _splitmix64(np.array([seed % 2**64], dtype=np.uint64))
    streams = _splitmix64(hashes ^ start)
    steps = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
    return _splitmix64(streams[:, None] + steps[None, :])


def _splitmix64(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The output function of SplitMix64 (Steele, Lea and Flood 2014), modulo 2^64."""
    mixed = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def interval(replicate_values: Array, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of one statistic over its bootstrap replicates.

    Args:
        replicate_values: shape ``(replicates,)``; NaN where a replicate has no value (no row of
            the slice was drawn), which is left out.
        level: in (0, 1).

    Returns:
        Lower and upper end, by linear interpolation; NaN without any value.

    Example:
        >>> interval(np.arange(101.0), level=0.5)
        (25.0, 75.0)
    """
    low, high = intervals(np.asarray(replicate_values, dtype=np.float64)[None, :], level)[0]
    return float(low), float(high)


def intervals(replicate_values: Array, level: float = 0.95) -> Array:
    """:func:`interval` of many: ``(statistics, replicates)`` to ``(statistics, 2)``."""
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must be in (0, 1), got {level}")
    ordered = np.sort(replicate_values, axis=1)  # NaN last
    counts = (~np.isnan(ordered)).sum(axis=1)
    ends = np.full((ordered.shape[0], 2), np.nan)
    rows = np.flatnonzero(counts)
    for column, quantile in enumerate(((1.0 - level) / 2.0, (1.0 + level) / 2.0)):
        position = quantile * (counts[rows] - 1)
        lower = np.floor(position).astype(np.int64)
        upper = np.minimum(lower + 1, counts[rows] - 1)
        fraction = position - lower
        ends[rows, column] = (
            ordered[rows, lower] * (1.0 - fraction) + ordered[rows, upper] * fraction
        )
    return ends
