"""What every metric needs to know of one utterance, as summands; and the metrics from the sums.

One row of summands per utterance and strategy (:func:`summands`), added up with bootstrap weights
(:mod:`raypipe.metrics.exact`), gives every metric that is a function of sums
(:func:`statistics`). Adding a metric here means one block of :func:`blocks`, its summands, and
its line in :func:`statistics`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raypipe.labels import LabelSet
from raypipe.metrics.baselines import uniform
from raypipe.metrics.calibration import ECE_BINS, confidence_bin
from raypipe.metrics.classification import (
    ClassCounts,
    above_threshold,
    dominant,
    f1_per_class,
    macro_f1,
)
from raypipe.metrics.distribution import COLUMNS, per_utterance
from raypipe.metrics.rows import Utterances

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

UNIFORM, PRIOR = "uniform", "prior"
BASELINES = (PRIOR, UNIFORM)
"""Names under which the constant predictors stand among the strategies."""

DIFFERENCES = ("js", "bc", "accuracy")
"""Metrics with paired differences between strategies."""

SKILLS = ("js", "bc", "kl", "accuracy")
"""Metrics with a skill row."""

_FILLED = ("js", "js_distance", "bc", "bd", "kl", "r2", "r2_det")


@dataclass(frozen=True, slots=True)
class Statistic:
    """One metric over the replicates.

    Attributes:
        values: shape ``(1 + replicates,)``, the plain value first; NaN where undefined.
        n: number of utterances behind the plain value.
        n_invalid: number of invalid predictions left out of it (or filled in).
        bootstrapped: whether the replicates give an interval.
    """

    values: Array
    n: int
    n_invalid: int
    bootstrapped: bool = True


def blocks(label_count: int) -> dict[str, slice]:
    """Where the summands of each kind stand in a row, by name, for K labels."""
    widths = {
        "rows": 1,
        "rows_invalid": 1,
        "valid": 1,
        "invalid": 1,
        "sums": len(COLUMNS),
        "defined": 2,  # r2, r2_det
        "filled": len(COLUMNS),  # what uniform would score on the invalid rows
        "filled_defined": 1,
        "ties": 1,
        "hit": label_count,
        "predicted": label_count,
        "truth": label_count,
        "filled_truth": label_count,
        "union": 1,
        "union_hit": 1,
        "annotator": 3 * label_count,
        "threshold": 3 * label_count,
        "gap": ECE_BINS,
        "brier": 1,
        "prior": len(SKILLS),
    }
    ends = np.cumsum(list(widths.values())).tolist()
    return {
        name: slice(end - width, end)
        for (name, width), end in zip(widths.items(), ends, strict=True)
    }


@dataclass(frozen=True)
class Scored:
    """One strategy's predictions beside the truth, row by row.

    Attributes:
        valid: labelled utterances with a prediction, shape ``(utterances,)``.
        invalid: labelled utterances whose prediction is invalid, likewise.
        metrics: name -> shape ``(utterances,)``, NaN where not valid or undefined.
        choice: share of each label in the predicted class, shape ``(utterances, labels)``: one
            1, or 1/K everywhere for the predictor that has no dominant label; 0 if not valid.
        confidence: share of the dominant label, NaN where not valid.
    """

    probs: Array
    valid: Mask
    invalid: Mask
    metrics: Mapping[str, Array]
    choice: Array
    confidence: Array

    def accuracy(self, utterances: Utterances) -> Array:
        """1 for a hit, 0 for a miss, shape ``(utterances,)``; NaN if not valid or tied."""
        hits = (self.choice * truth_matrix(utterances)).sum(axis=1)
        return np.where(self.valid & (utterances.plurality >= 0), hits, np.nan)


def score(utterances: Utterances, probs: Array, present: Mask, *, guess: bool = False) -> Scored:
    """Score one strategy on the utterances it has rows for.

    Args:
        utterances: the truth.
        probs: shape ``(utterances, labels)``, NaN rows where invalid.
        present: utterances the strategy has a row for.
        guess: count every label as predicted with a share of 1/K: the uniform predictor has no
            dominant label, and the first in label order would be an arbitrary one.
    """
    given = present & ~np.isnan(probs).any(axis=1)
    valid = given & utterances.labelled
    metrics = {name: np.full(valid.shape, np.nan) for name in COLUMNS}
    for name, values in per_utterance(utterances.truth[valid], probs[valid]).items():
        metrics[name][valid] = values
    choice = np.zeros(probs.shape)
    rows = np.flatnonzero(valid)
    if guess:
        choice[rows] = 1.0 / probs.shape[1]
    else:
        choice[rows, dominant(probs[rows])] = 1.0
    confidence = np.where(valid, np.where(valid[:, None], probs, 0.0).max(axis=1), np.nan)
    return Scored(probs, valid, present & utterances.labelled & ~given, metrics, choice, confidence)


def truth_matrix(utterances: Utterances) -> Array:
    """The plurality as one-hot rows, all zero for a tie, shape ``(utterances, labels)``."""
    rows = np.flatnonzero(utterances.plurality >= 0)
    matrix = np.zeros(utterances.truth.shape)
    matrix[rows, utterances.plurality[rows]] = 1.0
    return matrix


def summands(utterances: Utterances, scored: Scored, prior: Scored, present: Mask) -> Array:
    """The summands of one strategy.

    Args:
        utterances: the truth.
        scored: the strategy.
        prior: the prior predictor on the same utterances, for the skill.
        present: utterances the strategy has a row for, labelled or not.

    Returns:
        Shape ``(utterances, columns)`` as laid out by :func:`blocks`; NaN counts as 0.
    """
    layout = blocks(utterances.truth.shape[1])
    columns = np.zeros((present.size, layout["prior"].stop))
    given = present & ~np.isnan(scored.probs).any(axis=1)
    columns[:, layout["rows"]] = present[:, None]
    columns[:, layout["rows_invalid"]] = (present & ~given)[:, None]
    columns[:, layout["valid"]] = scored.valid[:, None]
    columns[:, layout["invalid"]] = scored.invalid[:, None]
    columns[:, layout["sums"]] = np.stack([scored.metrics[name] for name in COLUMNS], axis=1)
    columns[:, layout["defined"]] = ~np.isnan(
        np.stack([scored.metrics["r2"], scored.metrics["r2_det"]], axis=1)
    )
    _fill(columns, layout, utterances, scored)
    _classify(columns, layout, utterances, scored)
    _prior(columns, layout, utterances, scored, prior)
    return columns


def _fill(columns: Array, layout: dict[str, slice], utterances: Utterances, scored: Scored) -> None:
    """What the uniform distribution would score where the strategy is invalid.

    Its correlation with p is undefined (it is constant); it explains nothing, so r2 counts as 0.
    """
    rows = scored.invalid
    if not rows.any():
        return
    truth = utterances.truth[rows]
    filled = per_utterance(truth, uniform(*truth.shape))
    defined = ~np.isnan(filled["r2_det"])
    filled["r2"] = np.where(defined, 0.0, np.nan)
    columns[rows, layout["filled"]] = np.stack([filled[name] for name in COLUMNS], axis=1)
    columns[rows, layout["filled_defined"]] = defined[:, None]
    columns[rows, layout["filled_truth"]] = truth_matrix(utterances)[rows]


def _classify(
    columns: Array, layout: dict[str, slice], utterances: Utterances, scored: Scored
) -> None:
    truth, choice, valid = truth_matrix(utterances), scored.choice, scored.valid
    scorable = valid & (utterances.plurality >= 0)
    columns[:, layout["ties"]] = (valid & ~scorable)[:, None]
    columns[:, layout["hit"]] = choice * truth
    columns[:, layout["predicted"]] = choice * scorable[:, None]
    columns[:, layout["truth"]] = truth * scorable[:, None]

    known = valid & utterances.union.any(axis=1)
    agreed = choice * utterances.union
    columns[:, layout["union"]] = known[:, None]
    columns[:, layout["union_hit"]] = agreed.sum(axis=1, keepdims=True)
    both = (known & scorable)[:, None]
    missed = (choice * ~utterances.union).sum(axis=1, keepdims=True)
    columns[:, layout["annotator"]] = both * np.hstack(
        [agreed, choice * ~utterances.union, missed * truth]
    )

    probs = np.where(valid[:, None], scored.probs, 0.0)
    on_truth = above_threshold(np.where(valid[:, None], utterances.truth, 0.0))
    on_prediction = above_threshold(probs)
    columns[:, layout["threshold"]] = np.hstack(
        [on_truth & on_prediction, ~on_truth & on_prediction, on_truth & ~on_prediction]
    )

    rows = np.flatnonzero(scorable)
    confidence, correct = scored.confidence[rows], (choice * truth).sum(axis=1)[rows]
    columns[rows, layout["gap"].start + confidence_bin(confidence)] = correct - confidence
    # E (confidence - hit)^2 for a hit with probability ``correct``.
    columns[rows, layout["brier"].start] = confidence**2 - 2.0 * confidence * correct + correct


def _prior(
    columns: Array,
    layout: dict[str, slice],
    utterances: Utterances,
    scored: Scored,
    prior: Scored,
) -> None:
    """What the prior scores on the very rows the strategy is scored on."""
    values = {**prior.metrics, "accuracy": prior.accuracy(utterances)}
    block = np.stack([values[name] for name in SKILLS], axis=1)
    columns[:, layout["prior"]] = np.where(scored.valid[:, None], block, np.nan)


def difference_summands(utterances: Utterances, left: Scored, right: Scored) -> Array:
    """Summands of the paired differences left - right on utterances valid in both.

    Returns:
        Shape ``(utterances, 5)``: valid in both, js, bc, valid in both and not tied, accuracy;
        NaN counts as 0.
    """
    both = left.valid & right.valid
    accuracy = left.accuracy(utterances) - right.accuracy(utterances)
    return np.stack(
        [
            both,
            left.metrics["js"] - right.metrics["js"],
            left.metrics["bc"] - right.metrics["bc"],
            ~np.isnan(accuracy),
            accuracy,
        ],
        axis=1,
    ).astype(np.float64)


def difference_statistics(sums: Array) -> dict[str, Statistic]:
    """Mean paired differences from the sums of :func:`difference_summands`.

    Args:
        sums: shape ``(1 + replicates, 5)``, the unweighted sums first.
    """
    counts = {"js": sums[:, 0], "bc": sums[:, 0], "accuracy": sums[:, 3]}
    totals = {"js": sums[:, 1], "bc": sums[:, 2], "accuracy": sums[:, 4]}
    return {
        name: Statistic(_ratio(totals[name], counts[name]), _whole(counts[name][0]), 0)
        for name in DIFFERENCES
    }


def statistics(sums: Array, labels: LabelSet) -> dict[str, Statistic]:
    """Every metric from the sums of :func:`summands`.

    Args:
        sums: shape ``(1 + replicates, columns)``, the unweighted sums first.
        labels: the K labels.

    Returns:
        Metric name -> statistic, in the order of the table.
    """
    part = {name: sums[:, where] for name, where in blocks(len(labels)).items()}
    single = {name: block[:, 0] for name, block in part.items()}
    invalid = _whole(single["invalid"][0])
    found: dict[str, Statistic] = {}
    counts = {name: single["valid"] for name in COLUMNS}
    counts["r2"], counts["r2_det"] = part["defined"].T
    for position, name in enumerate(COLUMNS):
        found[name] = _mean(part["sums"][:, position], counts[name], invalid)
    _filled_statistics(found, part, counts, invalid)
    _class_statistics(found, part, labels, invalid)
    _skills(found, part, invalid)
    rows, rows_invalid = single["rows"], single["rows_invalid"]
    found["invalid_rate"] = _mean(rows_invalid, rows, _whole(rows_invalid[0]))
    number = _whole(single["valid"][0])
    undefined = single["valid"] - counts["r2"]
    found["r2_undefined"] = Statistic(undefined, number, invalid, bootstrapped=False)
    found["ties"] = Statistic(single["ties"], number, invalid, bootstrapped=False)
    return found


def _filled_statistics(
    found: dict[str, Statistic], part: dict[str, Array], counts: dict[str, Array], invalid: int
) -> None:
    for position, name in enumerate(_FILLED):
        extra = part["filled_defined" if name in ("r2", "r2_det") else "invalid"][:, 0]
        total = part["sums"][:, position] + part["filled"][:, position]
        found[f"{name}.invalid_as_uniform"] = _mean(total, counts[name] + extra, invalid)


def _class_statistics(
    found: dict[str, Statistic], part: dict[str, Array], labels: LabelSet, invalid: int
) -> None:
    hit, predicted, truth = part["hit"], part["predicted"], part["truth"]
    scorable = truth.sum(axis=1)
    number = _whole(scorable[0])
    counts = ClassCounts(hit, predicted - hit, truth - hit)
    found["accuracy"] = _mean(hit.sum(axis=1), scorable, invalid)
    found["macro_f1"] = Statistic(macro_f1(counts), number, invalid)
    for position, name in enumerate(labels.names):
        found[f"f1={name}"] = Statistic(f1_per_class(counts)[:, position], number, invalid)

    # An invalid row counts as a guess: a hit, and a vote for every class, of 1/K.
    missing = part["filled_truth"]
    guesses = missing.sum(axis=1, keepdims=True) / len(labels)
    all_hit, all_truth = hit + missing / len(labels), truth + missing
    all_counts = ClassCounts(all_hit, predicted + guesses - all_hit, all_truth - all_hit)
    total = all_truth.sum(axis=1)
    found["accuracy.invalid_as_uniform"] = _mean(all_hit.sum(axis=1), total, invalid)
    found["macro_f1.invalid_as_uniform"] = Statistic(
        macro_f1(all_counts), _whole(total[0]), invalid
    )
    found["annotator_accuracy"] = _mean(part["union_hit"][:, 0], part["union"][:, 0], invalid)
    annotated = ClassCounts(*np.split(part["annotator"], 3, axis=1))
    found["annotator_macro_f1"] = Statistic(macro_f1(annotated), number, invalid)
    threshold = ClassCounts(*np.split(part["threshold"], 3, axis=1))
    valid = _whole(part["valid"][0, 0])
    found["threshold_macro_f1"] = Statistic(macro_f1(threshold), valid, invalid)
    found["ece"] = _mean(np.abs(part["gap"]).sum(axis=1), scorable, invalid)
    found["brier"] = _mean(part["brier"][:, 0], scorable, invalid)


def _skills(found: dict[str, Statistic], part: dict[str, Array], invalid: int) -> None:
    """Skill against the prior on the same rows: 1 for perfect, 0 for no better than the prior.

    1 - m / m_prior for losses (js, kl), (m - m_prior) / (1 - m_prior) for scores (bc, accuracy).
    """
    valid, scorable = part["valid"][:, 0], part["truth"].sum(axis=1)
    for position, name in enumerate(SKILLS):
        count = scorable if name == "accuracy" else valid
        reference = _ratio(part["prior"][:, position], count)
        value = found[name].values
        if name in ("js", "kl"):
            skill = 1.0 - _ratio(value, reference)
        else:
            skill = _ratio(value - reference, 1.0 - reference)
        found[f"{name}_skill"] = Statistic(skill, found[name].n, invalid)


def _mean(total: Array, count: Array, invalid: int) -> Statistic:
    return Statistic(_ratio(total, count), _whole(count[0]), invalid)


def _ratio(numerator: Array, denominator: Array) -> Array:
    usable = denominator > 0.0
    return np.where(usable, numerator / np.where(usable, denominator, 1.0), np.nan)


def _whole(count: np.float64) -> int:
    return round(float(count))
