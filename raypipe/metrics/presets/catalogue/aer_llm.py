"""Preset ``aer_llm``: what the published code of AER-LLM computes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from raypipe.metrics.catalogue.bhattacharyya import bhattacharyya_coefficient
from raypipe.metrics.catalogue.ece import confidence_bin
from raypipe.metrics.catalogue.jensen_shannon import js_divergence
from raypipe.metrics.classification import ClassCounts, f1_per_class
from raypipe.metrics.presets.preset import (
    PaperPreset,
    PresetMetric,
    PresetRows,
    SummedScore,
    accuracy_of,
    mean_of,
    of_classes,
)
from raypipe.metrics.sums import ratio

Array = NDArray[np.float64]

KL_EPS, R2_EPS, DIGITS, ECE_BINS = 1e-8, 1e-10, 4, 5


def js_distance_nats(truth: Array, prediction: Array) -> Array:
    """Square root of the Jensen-Shannon divergence in nats, in [0, .8326].

    Example:
        >>> js_distance_nats(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])).round(4)
        array([0.8326])
    """
    return np.asarray(np.sqrt(js_divergence(truth, prediction) * np.log(2.0)))


def rounded_bc(truth: Array, prediction: Array) -> Array:
    """Bhattacharyya coefficient of each utterance, to four digits."""
    return np.asarray(np.round(bhattacharyya_coefficient(truth, prediction), DIGITS))


def rounded_r2(truth: Array, prediction: Array) -> Array:
    """Squared Pearson correlation over the labels, to four digits; 0 for a constant.

    Example:
        >>> rounded_r2(np.array([[0.33, 0.0, 0.0, 0.67]]), np.array([[0.0, 0.0, 0.0, 1.0]]))
        array([0.7641])
    """
    p = truth - truth.mean(axis=1, keepdims=True)
    q = prediction - prediction.mean(axis=1, keepdims=True)
    covariance, variances = (p * q).mean(axis=1), (p**2).mean(axis=1) * (q**2).mean(axis=1)
    return np.asarray(np.round(covariance**2 / (variances + R2_EPS), DIGITS))


def kl_from_prediction(truth: Array, prediction: Array) -> Array:
    """KL(prediction || truth) in nats, 1e-8 added to the truth; labels without a share left out.

    Example:
        >>> kl_from_prediction(np.array([[0.5, 0.5]]), np.array([[1.0, 0.0]])).round(4)
        array([0.6931])
    """
    shares = np.where(prediction > 0.0, prediction, 1.0)
    terms = np.where(prediction > 0.0, prediction * np.log(shares / (truth + KL_EPS)), 0.0)
    return np.asarray(terms.sum(axis=1))


def weighted_f1(counts: ClassCounts) -> Array:
    """Mean F1 of the labels, weighed by how often each is the true one."""
    support = counts.true_positives + counts.false_negatives
    return ratio((np.nan_to_num(f1_per_class(counts)) * support).sum(axis=-1), support.sum(axis=-1))


def _gaps(rows: PresetRows) -> Array:
    """Correctness minus confidence in the column of its bin, then the utterances that count."""
    scorable = rows.true_class.any(axis=1)
    confidence = np.where(scorable, rows.prediction.max(axis=1), 0.0)
    correct = (rows.true_class * rows.predicted_class).sum(axis=1)
    columns = np.zeros((scorable.size, ECE_BINS + 1))
    columns[np.arange(scorable.size), confidence_bin(confidence, ECE_BINS)] = np.where(
        scorable, correct - confidence, 0.0
    )
    columns[:, -1] = scorable
    return columns


def _plug_in(sums: Array) -> Array:
    return ratio(np.abs(sums[:, :-1]).sum(axis=1), sums[:, -1])


_js, _bc, _r2 = mean_of(js_distance_nats), mean_of(rounded_bc), mean_of(rounded_r2)
_kl, _accuracy, _f1 = (
    mean_of(kl_from_prediction),
    of_classes(accuracy_of, per_label=False),
    of_classes(weighted_f1),
)

PRESET = PaperPreset(
    name="aer_llm",
    rank=30,
    title="AER-LLM's published code (Evaluation/eval_metrics.py, eval_framework.py)",
    paper=None,
    corpora=("IEMOCAP",),
    labels="4: neutral, happiness, anger, sadness; votes for excitement are dropped",
    base="natural logarithm; entropy in bits",
    eps="1e-8 added to the truth in KL, 1e-10 below R2",
    direction="KL(prediction || truth)",
    truth_ties="first",
    predicted_ties="first",
    invalid="neutral",
    subset="need_prediction of the GenSEC task, 4,370 utterances",
    open_questions="the few-shot accuracy .5875 of the paper leaves three-way ties out; eps of KL "
    "changed between its notebooks.",
    metrics=(
        PresetMetric(
            name="JS",
            definition="square root of the Jensen-Shannon divergence in nats",
            better="lower",
            score=_js,
        ),
        PresetMetric(
            name="BC",
            definition="sum sqrt(p q), each utterance's to four digits",
            better="higher",
            score=_bc,
        ),
        PresetMetric(
            name="R2",
            definition="cov^2 / (var var + 1e-10) over the labels, four digits; 0 for a constant",
            better="higher",
            score=_r2,
        ),
        PresetMetric(
            name="KL",
            definition="KL(prediction || truth) in nats, 1e-8 added to the truth",
            better="lower",
            score=_kl,
        ),
        PresetMetric(
            name="ECE",
            definition="plug-in expected calibration error, 5 bins of the largest share",
            better="lower",
            score=SummedScore(_gaps, _plug_in),
            has_interval=False,  # its percentiles miss the truth: see the README on calibration
        ),
        PresetMetric(
            name="accuracy",
            definition="share of utterances whose predicted label is the most voted (UAC)",
            better="higher",
            score=_accuracy,
        ),
        PresetMetric(
            name="weighted_f1",
            definition="mean F1 of the labels, weighed by their true frequency",
            better="higher",
            score=_f1,
        ),
    ),
)
