"""What other training labels gain, encoder by encoder: Table IV of typed_descriptions.

A score is the threshold macro-F1 of a test set, the mean over seeds and folds. The gain of an
encoder is relative: trained from other labels over trained from the corpus's own, minus 1. Two
numbers sum the encoders up: the mean of their gains, and the ratio of the average scores, which is
what the table's last row states.

Intervals are of 95 % and paired. Over seeds: a t interval of the differences between trainings of
the same seed, over the score of the own labels. Over utterances: percentiles of a Poisson bootstrap
that weighs the clips of both trainings, and of all encoders, alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

from raypipe.metrics.bootstrap import REPLICATES, interval, weights_from_hashes
from raypipe.metrics.catalogue.threshold import above_threshold
from raypipe.metrics.classification import ClassCounts, f1_per_class, macro_f1

Array = NDArray[np.float64]

LEVEL = 0.95
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class FoldAnswers:
    """The labelled test clips of a fold and what heads of both trainings say of them.

    Attributes:
        hashes: of the utterance ids, shape ``(clips,)``, see
            :func:`raypipe.metrics.bootstrap.id_hashes`.
        truth: soft labels, shape ``(clips, labels)``.
        without: trained from the corpus's own labels, shape ``(seeds, clips, labels)``.
        relabelled: trained from the other labels, same shape, the seeds in the same order.
    """

    hashes: NDArray[np.uint64]
    truth: Array
    without: Array
    relabelled: Array


@dataclass(frozen=True, slots=True)
class Gain:
    """A relative gain with its two intervals; 0.03 is 3 %.

    Attributes:
        seeds: ends of the interval over seeds; None with one seed.
        utterances: ends of the interval over utterances; None without replicates.
    """

    value: float
    seeds: tuple[float, float] | None
    utterances: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class EncoderGain:
    """One line of the table: scores without and with other labels, in [0, 1]."""

    encoder: str
    without: float
    relabelled: float
    gain: Gain


@dataclass(frozen=True, slots=True)
class GainTable:
    """The whole table.

    Attributes:
        without: average of the encoders' scores.
        relabelled: average of their scores with other labels.
        mean_of_gains: mean of the encoders' relative gains.
        ratio_of_averages: relative gain of the two averages.
    """

    encoders: tuple[EncoderGain, ...]
    without: float
    relabelled: float
    mean_of_gains: Gain
    ratio_of_averages: Gain


def relative_gains(without: Array, relabelled: Array) -> Array:
    """Relative gain of every score, same shape.

    Example:
        >>> relative_gains(np.array([0.25]), np.array([0.3])).round(6)
        array([0.2])
    """
    return np.asarray(relabelled / without - 1.0)


def gain_table(
    tested: Mapping[str, Sequence[FoldAnswers]],
    *,
    batch_size: int | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> GainTable:
    """The table of several encoders, all tested on the same clips under the same seeds.

    Args:
        tested: folds by encoder.
        batch_size: clips in a batch, in whose order scores are averaged; None for pooled scores.
        replicates: of the bootstrap.
        seed: of the bootstrap.
    """
    # Both of shape (encoders, 1 + replicates, seeds); the first of a row is the score itself.
    without, relabelled = (
        np.stack(
            [
                np.mean(
                    [_scores(fold, probs, batch_size, replicates, seed) for fold, probs in part],
                    axis=0,
                )
                for part in parts
            ]
        )
        for parts in (
            [[(fold, fold.without) for fold in folds] for folds in tested.values()],
            [[(fold, fold.relabelled) for fold in folds] for folds in tested.values()],
        )
    )
    own, other = without.mean(axis=2), relabelled.mean(axis=2)
    differences = (relabelled - without)[:, 0, :]
    gains = relative_gains(own, other)
    lines = [
        EncoderGain(
            encoder,
            float(own[at, 0]),
            float(other[at, 0]),
            _gain(gains[at], differences[at] / own[at, 0]),
        )
        for at, encoder in enumerate(tested)
    ]
    averages = own.mean(axis=0), other.mean(axis=0)
    return GainTable(
        encoders=tuple(lines),
        without=float(averages[0][0]),
        relabelled=float(averages[1][0]),
        mean_of_gains=_gain(gains.mean(axis=0), (differences / own[:, :1]).mean(axis=0)),
        ratio_of_averages=_gain(
            relative_gains(*averages), differences.mean(axis=0) / averages[0][0]
        ),
    )


def _gain(values: Array, by_seed: Array) -> Gain:
    """A gain, then its replicates; relative differences by seed, whose mean is the gain."""
    utterances = interval(values[1:], LEVEL) if values.size > 1 else None
    return Gain(float(values[0]), t_interval(by_seed), utterances)


def t_interval(values: Array) -> tuple[float, float] | None:
    """Student's interval of a mean; None for fewer than two values.

    Example:
        >>> low, high = t_interval(np.array([1.0, 2.0, 3.0]))
        >>> round(low, 3), round(high, 3)
        (-0.484, 4.484)
    """
    if values.size < 2:
        return None
    reach = student_t.ppf((1 + LEVEL) / 2, values.size - 1) * values.std(ddof=1)
    half = float(reach / np.sqrt(values.size))
    return float(values.mean()) - half, float(values.mean()) + half


def _scores(
    fold: FoldAnswers, probs: Array, batch_size: int | None, replicates: int, seed: int
) -> Array:
    """Scores of every seed under every replicate, shape ``(1 + replicates, seeds)``."""
    truth = above_threshold(fold.truth)[None]
    guess = np.stack([above_threshold(each) for each in probs])
    counted = np.stack([truth & guess, ~truth & guess, truth & ~guess]).astype(np.float32)
    seeds, clips, labels = probs.shape
    columns = counted.transpose(2, 0, 1, 3).reshape(clips, -1)
    size = batch_size or max(clips, 1)
    total = np.zeros((1 + replicates, seeds))
    for begin in range(0, clips, size):
        sums = _weighted(
            fold.hashes[begin : begin + size], columns[begin : begin + size], replicates, seed
        )
        counts = ClassCounts(*sums.reshape(-1, 3, seeds, labels).transpose(1, 0, 2, 3))
        total += (
            macro_f1(counts)
            if batch_size is None
            # As the published code: a label that a batch does not have counts as 0 there.
            else np.nan_to_num(f1_per_class(counts)).mean(axis=-1)
        )
    return total if batch_size is None else total / len(range(0, clips, size))


def _weighted(
    hashes: NDArray[np.uint64], columns: NDArray[np.float32], replicates: int, seed: int
) -> Array:
    """Sums over clips, unweighted, then under every replicate's weights; exact whole numbers."""
    sums = np.zeros((1 + replicates, columns.shape[1]))
    for begin in range(0, len(hashes), _ROWS_AT_ONCE):
        rows = slice(begin, begin + _ROWS_AT_ONCE)
        sums[0] += columns[rows].sum(axis=0)
        if replicates:
            weights = weights_from_hashes(hashes[rows], replicates, seed)
            sums[1:] += weights.T.astype(np.float32) @ columns[rows]
    return sums
