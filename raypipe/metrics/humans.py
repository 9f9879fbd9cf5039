"""The human ceiling: how well one half of an utterance's votes predicts the other half.

The smaller half, as a distribution, is the prediction, and the larger half the truth; every metric
is the mean over :data:`HALVINGS` random halvings. Which vote comes into which half depends on the
utterance's id alone. Both halves have fewer votes, and so more noise, than the soft labels that a
strategy is scored against: a strategy can score above the ceiling.

Soft labels are whole votes where their shares times the number of votes are whole. Others (votes
that are split, smoothed or adjusted labels) cannot be halved, nor can a single vote: they have no
part in the ceiling.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from raypipe.metrics.bootstrap import random_words
from raypipe.metrics.scored import Scored
from raypipe.metrics.statistics import score
from raypipe.metrics.utterances import Utterances

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

HALVINGS = 10
"""Random halvings of the votes of every utterance."""

_WHOLE = 1e-6
"""How far from a whole number a share times the number of votes may be, by rounding."""

_SEED = 1 << 62
"""Of the halvings: far from the seeds that people give a bootstrap, whose words are the same."""

_MOST_VOTES = 2**18
"""Votes that are drawn at a time."""


def vote_counts(utterances: Utterances) -> Indices:
    """Votes for every label, shape ``(utterances, labels)``; 0 where they cannot be halved."""
    shares = np.nan_to_num(utterances.truth, nan=0.0)
    products = shares * utterances.n_votes[:, None]
    counts = np.rint(products).astype(np.int64)
    whole = (np.abs(products - counts) < _WHOLE).all(axis=1)
    total = counts.sum(axis=1)
    halvable = whole & (total == utterances.n_votes) & (total >= 2)
    return np.asarray(counts * halvable[:, None])


def smaller_halves(counts: Indices, hashes: NDArray[np.uint64], halving: int) -> Indices:
    """The votes of each utterance's smaller half: floor(n / 2) of its n, drawn without replacement.

    Args:
        counts: votes for every label, shape ``(utterances, labels)``.
        hashes: of the utterances' ids, shape ``(utterances,)``; they alone seed the draw.
        halving: number of the halving, from 0.

    Returns:
        Shape ``(utterances, labels)``.
    """
    halves = np.zeros_like(counts)
    totals = counts.sum(axis=1)
    for total in np.unique(totals[totals >= 2]):
        every = np.flatnonzero(totals == total)
        for rows in np.array_split(every, max(1, every.size * int(total) // _MOST_VOTES)):
            # Votes stand in the order of the labels; those with the smallest words are drawn.
            words = random_words(hashes[rows], int(total), _SEED + halving)
            drawn = np.argsort(words, axis=1, kind="stable")[:, : total // 2]
            ends = counts[rows].cumsum(axis=1)
            below = (drawn[:, :, None] < ends[:, None, :]).sum(axis=1)
            halves[rows] = np.diff(below, axis=1, prepend=0)
    return halves


def halvings(utterances: Utterances) -> list[Scored]:
    """Every halving, the smaller halves as predictions scored against the larger ones.

    Empty where no utterance has votes that can be halved. Utterances without such votes have
    neither truth nor prediction.
    """
    counts = vote_counts(utterances)
    present = np.asarray(counts.any(axis=1))
    if not present.any():
        return []
    scored = []
    for number in range(HALVINGS):
        smaller = smaller_halves(counts, utterances.hashes, number)
        scored.append(score(_voted(utterances, counts - smaller), _shares(smaller), present))
    return scored


def _voted(utterances: Utterances, counts: Indices) -> Utterances:
    """The utterances with these votes, shape ``(utterances, labels)``."""
    top = counts.max(axis=1)
    agreed = (counts == top[:, None]).sum(axis=1) == 1
    return replace(
        utterances,
        truth=_shares(counts),
        plurality=np.where(agreed, counts.argmax(axis=1), -1),
        union=counts > 0,
        n_votes=counts.sum(axis=1),
    )


def _shares(counts: Indices) -> Array:
    """Votes as distributions; NaN rows without any."""
    totals = counts.sum(axis=1, keepdims=True)
    return np.asarray(np.where(totals > 0, counts / np.maximum(totals, 1), np.nan))
