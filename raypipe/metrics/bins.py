"""Ambiguity bins: utterances grouped by the entropy of their soft label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raypipe.metrics.bootstrap import id_hashes

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

BINS = 5
"""Bins in a table, as in test_time_scaling, Figure 3."""


@dataclass(frozen=True, slots=True)
class CountEdges:
    """Where the equal-count bins begin: the first (entropy, id hash) of every bin but the first.

    Attributes:
        entropy: shape ``(bins - 1,)``, ascending.
        key: hash of the id of that utterance, shape ``(bins - 1,)``.
    """

    entropy: Array
    key: NDArray[np.uint64]


def count_edges(entropy: Array, keys: NDArray[np.uint64], bins: int = BINS) -> CountEdges:
    """Edges that cut the utterances into bins of equal count.

    Utterances are ranked by entropy; equal ones (there are many: few annotators) by the hash of
    their id. So the counts differ by one at most, and no order of the rows matters.

    Args:
        entropy: of the soft labels, shape ``(utterances,)``.
        keys: :func:`raypipe.metrics.bootstrap.id_hashes` of their ids, shape ``(utterances,)``.
        bins: number of bins.
    """
    order = np.lexsort((keys, entropy))
    starts = [(position * entropy.size) // bins for position in range(1, bins)]
    first = order[starts] if entropy.size else np.zeros(0, dtype=np.int64)
    return CountEdges(entropy[first], keys[first])


def count_bin(entropy: Array, keys: NDArray[np.uint64], edges: CountEdges) -> Indices:
    """Equal-count bin of every utterance, from 0; shape ``(utterances,)``."""
    index = np.zeros(entropy.shape, dtype=np.int64)
    for start, key in zip(edges.entropy, edges.key, strict=True):
        index += (entropy > start) | ((entropy == start) & (keys >= key))
    return index


def equal_count(entropy: Array, utterance_ids: list[str], bins: int = BINS) -> Indices:
    """Equal-count ambiguity bin of every utterance, from 0 (clearest) to ``bins - 1``.

    Args:
        entropy: of the soft labels, shape ``(utterances,)``.
        utterance_ids: break ties of entropy, through their hash.
        bins: number of bins.

    Returns:
        Shape ``(utterances,)``; the bins' counts differ by one at most.

    Example:
        >>> equal_count(np.array([0.0, 0.9, 0.3, 1.5]), ["a", "b", "c", "d"], bins=2)
        array([0, 1, 0, 1])
    """
    keys = id_hashes(utterance_ids)
    return count_bin(entropy, keys, count_edges(entropy, keys, bins))


def equal_width(entropy: Array, label_count: int, bins: int = BINS) -> Indices:
    """Equal-width ambiguity bin of every utterance over [0, log2 K], from 0 to ``bins - 1``.

    Bins are [i, i + 1) * log2(K) / bins, the last one closed.

    Args:
        entropy: of the soft labels, in bits, shape ``(utterances,)``.
        label_count: K.
        bins: number of bins.

    Example:
        >>> equal_width(np.array([0.0, 0.5, 1.99, 2.0]), label_count=4, bins=4)
        array([0, 1, 3, 3])
    """
    # An entropy on an edge, up to rounding, opens the upper bin.
    index = np.floor(entropy / np.log2(label_count) * bins + 1e-9).astype(np.int64)
    return np.asarray(np.clip(index, 0, bins - 1))
