"""Paired differences of systems, whichever run, model, prompt or strategy they come from.

Of every pair, both are scored on the utterances for which both have a valid prediction, and every
replicate of the bootstrap weighs them alike. p-values are corrected (Holm) for all pairs and
metrics compared at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from raypipe.errors import ConfigError
from raypipe.labels import LabelSet
from raypipe.metrics.bootstrap import FEW_SPEAKERS, interval, replicate_weights
from raypipe.metrics.columns import clusters
from raypipe.metrics.exact import BLOCK, SCALE, to_units, weighted_sums
from raypipe.metrics.kinds import SumsMetric, UtteranceMetric
from raypipe.metrics.metric import Section
from raypipe.metrics.registry import SCORED_METRICS
from raypipe.metrics.scored import Scored
from raypipe.metrics.significance import LEVEL, holm, p_value
from raypipe.metrics.statistics import score, summand_block
from raypipe.metrics.sums import (
    LEAST_COUNT,
    LEAST_UTTERANCES,
    NO_INTERVAL,
    Layout,
    Statistic,
    Sums,
)
from raypipe.metrics.utterances import Utterances

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Measured:
    """One system's value of a metric on all utterances it has a valid prediction for.

    Attributes:
        low: lower end of the 95 % interval; NaN without replicates.
        high: its upper end.
        n: number of those utterances.
    """

    system: str
    metric: str
    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Difference:
    """Left minus right in one metric, on the utterances that both have a valid prediction for.

    Attributes:
        low: lower end of the 95 % interval; NaN without replicates, and where less than
            :data:`~raypipe.metrics.sums.LEAST_COUNT` utterances differ.
        high: its upper end.
        p_value: of the difference being 0, two-sided; NaN like the interval.
        corrected: the p-value, corrected for all differences compared at once.
        n: number of those utterances.
    """

    left: str
    right: str
    metric: str
    value: float
    low: float
    high: float
    p_value: float
    corrected: float
    n: int

    @property
    def is_told_apart(self) -> bool:
        """Whether the corrected p-value is below :data:`LEVEL`."""
        return self.corrected < LEVEL

    def turned(self) -> Difference:
        """Right minus left."""
        return replace(
            self,
            left=self.right,
            right=self.left,
            value=-self.value,
            low=-self.high,
            high=-self.low,
        )


@dataclass(frozen=True)
class Comparison:
    """All systems and all pairs of them.

    Attributes:
        measured: by system in the order given, then by metric.
        differences: of every pair, the first given one on the left, by metric.
        units: what a replicate draws: number of utterances, or of speakers.
    """

    measured: tuple[Measured, ...]
    differences: tuple[Difference, ...]
    units: int


Comparable = UtteranceMetric | SumsMetric
"""A metric that systems can be compared in."""


def comparable_metrics() -> dict[str, Comparable]:
    """Metrics that can be compared, by name: one value, better at one end, with replicates."""
    metrics: dict[str, Comparable] = {}
    for metric in SCORED_METRICS:
        if metric.better == "neither" or metric.section is Section.COVERAGE:
            continue  # a count, or what a pair leaves out
        if isinstance(metric, UtteranceMetric) or (
            isinstance(metric, SumsMetric)
            and not (metric.per_label or metric.is_stated)
            and metric.interval is None
        ):
            metrics[metric.name] = metric
    return metrics


@dataclass(frozen=True)
class Systems:
    """Predictions of several systems for the same utterances, row by row.

    Attributes:
        utterances: the truth.
        predictions: by name of the system, shape ``(utterances, labels)``; NaN rows where it has
            no valid prediction.
        present: by name of the system, which utterances it has a prediction for, valid or not;
            shape ``(utterances,)``.
    """

    utterances: Utterances
    predictions: Mapping[str, Array]
    present: Mapping[str, Mask]


def compare_systems(
    systems: Systems,
    labels: LabelSet,
    metrics: Sequence[Comparable],
    *,
    replicates: int,
    seed: int = 0,
    by_speaker: bool = False,
) -> Comparison:
    """Measure every system, and every pair of them on their common utterances.

    Args:
        systems: at least one.
        labels: the K labels.
        metrics: of :func:`comparable_metrics`.
        replicates: bootstrap replicates; 0 for neither intervals nor p-values.
        seed: of the bootstrap.
        by_speaker: whether the bootstrap draws speakers with all their utterances; an utterance
            without a speaker is drawn alone.

    Raises:
        ConfigError: if speakers are to be drawn and less than ten are known, or if two systems
            have no utterance in common.
    """
    for left, right in combinations(systems.present, 2):
        if not (systems.present[left] & systems.present[right]).any():
            raise ConfigError(
                f"{left} and {right} have no utterance in common: they cannot be compared"
            )
    kept = systems.utterances.take(systems.utterances.labelled)
    predictions = {
        name: probs[systems.utterances.labelled] for name, probs in systems.predictions.items()
    }
    drawn = _drawn(kept) if by_speaker else kept.hashes
    masks, wanted = _masks(kept, predictions, metrics)
    values, differing = _values(kept, predictions, labels, wanted, masks, drawn, (replicates, seed))
    pairs = list(combinations(predictions, 2))
    units = int(np.unique(drawn).size)
    measured = [
        _measured(name, metric.name, values[name, metric.name, masks.own[name, metric.name]])
        for name in predictions
        for metric in metrics
    ]
    differences = []
    for left, right in pairs:
        for metric in metrics:
            mask = masks.common[left, right, metric.name]
            own, other = (values[name, metric.name, mask] for name in (left, right))
            shared = int(np.unique(drawn[masks.rows[mask]]).size)
            gap = own.values - other.values
            few = differing[left, right, metric.name] < LEAST_COUNT or own.n < LEAST_UTTERANCES
            # A difference of means is a mean; of others it has no interval where they have none.
            is_mean = isinstance(metric, UtteranceMetric) or metric.per_utterance is not None
            if few or (not is_mean and (own.interval or other.interval)):
                gap = gap[:1]  # replicates would not tell
            differences.append(_difference(left, right, metric.name, gap, own.n, shared))
    corrected = holm([difference.p_value for difference in differences])
    return Comparison(
        tuple(measured),
        tuple(
            replace(difference, corrected=value)
            for difference, value in zip(differences, corrected, strict=True)
        ),
        units,
    )


@dataclass(frozen=True)
class _Masks:
    """The sets of utterances that values are needed on.

    Attributes:
        rows: every distinct set, shape ``(utterances,)``.
        own: index of the set of a system's own values, by system and metric.
        common: index of the set on which both have a value, by pair and metric.
    """

    rows: list[Mask]
    own: dict[tuple[str, str], int]
    common: dict[tuple[str, str, str], int]


_Wanted = dict[tuple[str, int], list[Comparable]]
"""Metrics by system and index of a set of utterances."""


def _masks(
    utterances: Utterances, predictions: Mapping[str, Array], metrics: Sequence[Comparable]
) -> tuple[_Masks, _Wanted]:
    masks = _Masks([], {}, {})
    known: dict[bytes, int] = {}
    wanted: _Wanted = {}

    def index_of(rows: Mask) -> int:
        index = known.setdefault(np.packbits(rows).tobytes(), len(masks.rows))
        if index == len(masks.rows):
            masks.rows.append(rows)
        return index

    def want(name: str, index: int, metric: Comparable) -> None:
        listed = wanted.setdefault((name, index), [])
        if metric not in listed:
            listed.append(metric)

    defined = _defined(utterances, predictions, metrics)
    for name in predictions:
        for metric in metrics:
            index = masks.own[name, metric.name] = index_of(defined[name, metric.name])
            want(name, index, metric)
    for left, right in combinations(predictions, 2):
        for metric in metrics:
            both = defined[left, metric.name] & defined[right, metric.name]
            index = masks.common[left, right, metric.name] = index_of(both)
            want(left, index, metric)
            want(right, index, metric)
    return masks, wanted


def _defined(
    utterances: Utterances, predictions: Mapping[str, Array], metrics: Sequence[Comparable]
) -> dict[tuple[str, str], Mask]:
    """By system and metric the utterances that count: valid ones on which it has a value."""
    everyone = np.ones(utterances.hashes.size, dtype=np.bool_)
    defined = {}
    for name, probs in predictions.items():
        scored = score(utterances, probs, everyone)
        for metric in metrics:
            counted = np.asarray(metric.count.function(scored)).reshape(everyone.size, -1)
            defined[name, metric.name] = np.asarray(counted.any(axis=1))
    return defined


def _values(
    utterances: Utterances,
    predictions: Mapping[str, Array],
    labels: LabelSet,
    wanted: _Wanted,
    masks: _Masks,
    drawn: NDArray[np.uint64],
    bootstrap: tuple[int, int],
) -> tuple[dict[tuple[str, str, int], Statistic], Counter[tuple[str, str, str]]]:
    """Every wanted metric over the replicates.

    Then, by pair and metric, on how many utterances the summands of the two are not the same.
    """
    layouts = {
        key: Layout.of(dict.fromkeys(s for m in metrics for s in m.own_summands), len(labels))
        for key, metrics in wanted.items()
    }
    sums: dict[tuple[str, int], Integers] = {}
    differing: Counter[tuple[str, str, str]] = Counter()
    replicates, seed = bootstrap
    for start in range(0, utterances.hashes.size, BLOCK):
        rows = np.arange(start, min(start + BLOCK, utterances.hashes.size))
        part = utterances.take(rows)
        weights = replicate_weights(drawn[rows], replicates, seed)
        units: dict[tuple[str, int], Array] = {}
        for (name, index), metrics in wanted.items():
            shown = np.where(masks.rows[index][rows, None], predictions[name][rows], np.nan)
            scored = score(part, shown, masks.rows[index][rows])
            units[name, index] = to_units(_columns(scored, metrics, layouts[name, index]))
            block = weighted_sums(weights, units[name, index])
            known = sums.get((name, index))
            sums[name, index] = block if known is None else known + block
        for (left, right, metric_name), index in masks.common.items():
            metric = next(m for m in wanted[left, index] if m.name == metric_name)
            apart = np.zeros(rows.size, dtype=np.bool_)
            for summand in metric.own_summands:
                own, other = (
                    units[name, index][:, layouts[name, index].places[summand.name]]
                    for name in (left, right)
                )
                apart |= (own != other).any(axis=1)
            differing[left, right, metric_name] += int(apart.sum())
    values = {}
    for (name, index), metrics in wanted.items():
        blocks = {
            summand: sums[name, index][:, place] / SCALE
            for summand, place in layouts[name, index].places.items()
        }
        for metric in metrics:
            values[name, metric.name, index] = metric.rows(Sums(labels, blocks))[metric.name]
    return values, differing


def _columns(scored: Scored, metrics: Sequence[Comparable], places: Layout) -> Array:
    columns = np.zeros((scored.valid.size, places.width))
    for summand in dict.fromkeys(summand for metric in metrics for summand in metric.own_summands):
        columns[:, places.places[summand.name]] = summand_block(summand, scored)
    return columns


def _drawn(utterances: Utterances) -> NDArray[np.uint64]:
    """What a replicate draws for every utterance: its speaker, or itself where none is known."""
    speakers = utterances.speaker_hashes
    known = np.unique(speakers[speakers != 0]).size
    if known < FEW_SPEAKERS:
        raise ConfigError(
            f"{known} speakers are known; intervals of fewer than {FEW_SPEAKERS} are too narrow"
        )
    return clusters(utterances.hashes, speakers)


def _measured(system: str, metric: str, own: Statistic) -> Measured:
    is_withheld = own.interval is not None or own.n < LEAST_UTTERANCES
    low, high = NO_INTERVAL if is_withheld else interval(own.values[1:])
    return Measured(system, metric, float(own.values[0]), low, high, own.n)


def _difference(
    left: str, right: str, metric: str, values: Array, n: int, units: int
) -> Difference:
    low, high = interval(values[1:])
    p = p_value(values, units)
    return Difference(left, right, metric, float(values[0]), low, high, p, p, n)


def leaders(comparison: Comparison, metric: Comparable) -> tuple[str, ...]:
    """The system with the best value, and after it those that cannot be told apart from it.

    Best first; without replicates nothing is told apart. Empty without any value.
    """
    sign = 1.0 if metric.better == "lower" else -1.0
    ranked = sorted(
        (item for item in comparison.measured if item.metric == metric.name and item.n),
        key=lambda item: sign * item.value,
    )
    if not ranked:
        return ()
    best = ranked[0].system
    apart = {
        frozenset((item.left, item.right))
        for item in comparison.differences
        if item.metric == metric.name and item.is_told_apart
    }
    return tuple(item.system for item in ranked if frozenset((best, item.system)) not in apart)
