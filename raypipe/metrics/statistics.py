"""The metrics of one strategy: its predictions beside the truth, their summands, what sums give.

One row of summands per utterance and strategy (:func:`summands`), added up with bootstrap weights
(:mod:`raypipe.metrics.exact`), gives every metric that is a function of sums
(:func:`statistics`). Which summands and which metrics says the registry alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from raypipe.errors import AccountingError
from raypipe.labels import LabelSet
from raypipe.metrics.baselines import uniform
from raypipe.metrics.classification import dominant_shares
from raypipe.metrics.kinds import UtteranceMetric
from raypipe.metrics.metric import HUMAN_SKILL_SUFFIX, SKILL_SUFFIX, ScoredMetric, Section
from raypipe.metrics.registry import (
    COMPARED,
    PER_UTTERANCE,
    SCORED_METRICS,
    SKILLED,
    SUMMANDS,
    per_utterance,
)
from raypipe.metrics.scored import Scored
from raypipe.metrics.sums import (
    NO_INTERVAL,
    Layout,
    Statistic,
    Summand,
    Sums,
    ratio,
    too_few,
    whole,
)
from raypipe.metrics.utterances import Utterances

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@cache
def layout(label_count: int) -> Layout:
    """Where the columns of each summand stand in a row of :func:`summands`, for K labels."""
    return Layout.of(SUMMANDS, label_count)


def score(
    utterances: Utterances, probs: Array, present: Mask, label_set: Mask | None = None
) -> Scored:
    """Score one strategy on the utterances it has rows for.

    Args:
        utterances: the truth.
        probs: shape ``(utterances, labels)``, NaN rows where invalid.
        present: utterances the strategy has a row for.
        label_set: whether a label is in the strategy's set, shape ``(utterances, labels)``; None
            where it has no sets.

    Raises:
        AccountingError: if a metric that is defined for every valid prediction has no value.
    """
    given = present & ~np.isnan(probs).any(axis=1)
    valid = given & utterances.labelled
    rows = np.flatnonzero(valid)
    columns = per_utterance(utterances.truth[rows], probs[rows])
    choice = np.zeros(probs.shape)
    choice[rows] = dominant_shares(probs[rows])
    return Scored(
        utterances,
        probs,
        present,
        given,
        _placed(columns, rows, valid.size),
        _filled(utterances, present & utterances.labelled & ~given),
        choice,
        np.where(valid, np.where(valid[:, None], probs, 0.0).max(axis=1), np.nan),
        label_set,
    )


def _filled(utterances: Utterances, invalid: Mask) -> dict[str, Array]:
    """What the uniform distribution would score where the strategy is invalid, by metric."""
    rows = np.flatnonzero(invalid)
    truth = utterances.truth[rows]
    columns = per_utterance(truth, uniform(*truth.shape))
    for metric in PER_UTTERANCE:
        if metric.uniform_value is not None:
            columns[metric.name] = metric.uniform_value(truth)
    return _placed(columns, rows, invalid.size)


def _placed(
    columns: dict[str, Array], rows: NDArray[np.int64], utterance_count: int
) -> dict[str, Array]:
    """Columns of some rows as columns of all, NaN elsewhere."""
    placed = {}
    for metric in PER_UTTERANCE:
        values = columns[metric.name]
        if metric.always_defined and np.isnan(values).any():
            raise AccountingError(
                f"metric {metric.name!r} has no value for a valid prediction, and declares that "
                "this never happens"
            )
        placed[metric.name] = np.full(utterance_count, np.nan)
        placed[metric.name][rows] = values
    return placed


def summands(scored: Scored, prior: Scored, humans: Array) -> Array:
    """The summands of one strategy.

    Args:
        scored: the strategy.
        prior: the prior predictor on the same utterances, for the skill.
        humans: of the annotators on the same utterances, from :func:`human_summands`.

    Returns:
        Shape ``(utterances, columns)`` as laid out by :func:`layout`; NaN counts as 0.
    """
    count, label_count = scored.probs.shape
    places = layout(label_count)
    columns = np.zeros((count, places.width))
    for summand in SUMMANDS:
        place = places.places[summand.name]
        if summand.of == "strategy":
            columns[:, place] = summand_block(summand, scored)
        else:
            block = humans[:, place] if summand.of == "humans" else summand_block(summand, prior)
            columns[:, place] = np.where(scored.valid[:, None], block, np.nan)
    return columns


def human_summands(halvings: Sequence[Scored], shape: tuple[int, int]) -> Array:
    """The mean summands of the halvings of the annotators' votes, as :func:`summands` has them.

    Args:
        halvings: from :func:`raypipe.metrics.humans.halvings`; may be none.
        shape: ``(utterances, labels)``.
    """
    count, label_count = shape
    places = layout(label_count)
    columns = np.zeros((count, places.width))
    for summand in SUMMANDS:
        if halvings and summand.of != "prior":
            total = sum(
                np.nan_to_num(summand_block(summand, scored), nan=0.0) for scored in halvings
            )
            columns[:, places.places[summand.name]] = total / len(halvings)
    return columns


def summand_block(summand: Summand, scored: Scored) -> Array:
    """A summand's columns of some predictions, shape ``(utterances, columns)``."""
    block = np.asarray(summand.function(scored), dtype=np.float64)
    return block[:, None] if block.ndim == 1 else block


def named_sums(sums: Array, labels: LabelSet) -> Sums:
    """The sums of :func:`summands` by summand.

    Args:
        sums: shape ``(1 + replicates, columns)``, the unweighted sums first.
        labels: the K labels.
    """
    places = layout(len(labels)).places
    return Sums(labels, {name: sums[:, place] for name, place in places.items()})


def statistics(sums: Sums) -> dict[str, Statistic]:
    """Every metric that is a function of sums.

    Returns:
        Row name -> statistic, in the order of the table: section by section, rows with invalid
        predictions counted as uniform below the others; skills stand before what was counted.
    """
    rows: dict[str, Statistic] = {}
    for section in Section:
        if section == Section.COVERAGE:
            rows |= {
                metric.name + SKILL_SUFFIX: metric.skill_of(rows[metric.name], sums)
                for metric in SKILLED
            }
            for metric in SKILLED:
                skill = metric.human_skill_of(rows[metric.name], sums)
                rows |= {} if skill is None else {metric.name + HUMAN_SKILL_SUFFIX: skill}
        metrics = [metric for metric in SCORED_METRICS if metric.section == section]
        for metric in metrics:
            rows |= metric.rows(sums)
        for metric in metrics:
            rows |= metric.uniform_rows(sums)
    return rows


def human_statistics(sums: Sums) -> dict[str, Statistic]:
    """The metrics that are given for the annotators' agreement, from sums of their summands."""
    rows: dict[str, Statistic] = {}
    for metric in SCORED_METRICS:
        if metric.of_humans and metric.better != "neither":
            rows |= metric.rows(sums)
    return rows


# --- paired differences -----------------------------------------------------------------------

_BOTH = "both"
"""The column that counts utterances valid in both strategies; the others are a metric's."""


def _differ_column(metric: ScoredMetric) -> str:
    """The column that counts the utterances on which the two strategies have other values."""
    return f"{metric.name}.differ"


def _count_column(metric: ScoredMetric) -> str:
    """The column that counts the utterances on which both strategies have a value."""
    always = isinstance(metric, UtteranceMetric) and metric.always_defined
    return _BOTH if always else f"{metric.name}.count"


_DIFFERENCE_PLACES = {
    name: place
    for place, name in enumerate(
        dict.fromkeys(
            (
                _BOTH,
                *(metric.name for metric in COMPARED),
                *(_count_column(metric) for metric in COMPARED),
                *(_differ_column(metric) for metric in COMPARED),
            )
        )
    )
}
SWAP = np.array(
    [-1 if any(metric.name == name for metric in COMPARED) else 1 for name in _DIFFERENCE_PLACES]
)
"""Signs that make the sums of left - right those of right - left."""


def difference_summands(left: Scored, right: Scored) -> Array:
    """Summands of the paired differences left - right on utterances valid in both.

    Returns:
        Shape ``(utterances, columns)``; the first column counts the utterances; NaN counts as 0.
    """
    columns = np.empty((left.valid.size, len(_DIFFERENCE_PLACES)))
    columns[:, _DIFFERENCE_PLACES[_BOTH]] = left.valid & right.valid
    for metric in COMPARED:
        difference = metric.values(left) - metric.values(right)
        columns[:, _DIFFERENCE_PLACES[metric.name]] = difference
        columns[:, _DIFFERENCE_PLACES[_differ_column(metric)]] = np.nan_to_num(difference) != 0.0
        if _count_column(metric) != _BOTH:
            columns[:, _DIFFERENCE_PLACES[_count_column(metric)]] = ~np.isnan(difference)
    return columns


def difference_statistics(sums: Array) -> dict[str, Statistic]:
    """Mean paired differences by metric, from the sums of :func:`difference_summands`.

    Args:
        sums: shape ``(1 + replicates, columns)``, the unweighted sums first.
    """
    rows = {}
    for metric in COMPARED:
        total = sums[:, _DIFFERENCE_PLACES[metric.name]]
        count = sums[:, _DIFFERENCE_PLACES[_count_column(metric)]]
        differing = sums[0, _DIFFERENCE_PLACES[_differ_column(metric)]]
        few = too_few({"utterances differ": differing}) if len(sums) > 1 else None
        rows[metric.name] = Statistic(
            ratio(total, count),
            whole(count[0]),
            0,
            interval=NO_INTERVAL if few else None,
            note=few,
        )
    return rows
