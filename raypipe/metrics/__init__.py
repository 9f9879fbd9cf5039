"""Metrics: one object each, pure functions of arrays, and the reduce that applies them to tables.

The functions and the registry of metrics stand here; the README of this folder lists the metrics
and says how to add one.

Example:
    >>> import numpy as np
    >>> from raypipe.metrics import METRICS, js_divergence
    >>> truth, prediction = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    >>> js_divergence(truth, prediction)
    array([1.])
    >>> METRICS["js"].better
    'lower'
"""

from raypipe.metrics.agreement import fleiss_kappa, krippendorff_alpha
from raypipe.metrics.auroc import auroc
from raypipe.metrics.baselines import prior, uniform
from raypipe.metrics.bins import equal_count, equal_width
from raypipe.metrics.bootstrap import interval, poisson_weights
from raypipe.metrics.catalogue.accuracy import accuracy
from raypipe.metrics.catalogue.annotators import annotator_correct, annotator_counts
from raypipe.metrics.catalogue.bhattacharyya import (
    bhattacharyya_coefficient,
    bhattacharyya_distance,
)
from raypipe.metrics.catalogue.brier import brier_score
from raypipe.metrics.catalogue.ece import (
    debiased_calibration_error,
    expected_calibration_error,
)
from raypipe.metrics.catalogue.jensen_shannon import js_distance, js_divergence
from raypipe.metrics.catalogue.kullback_leibler import kl_divergence
from raypipe.metrics.catalogue.r2 import r2, r2_determination
from raypipe.metrics.catalogue.threshold import above_threshold, threshold_counts
from raypipe.metrics.classification import (
    ClassCounts,
    confusion_matrix,
    counts_from_confusion,
    dominant,
    dominant_shares,
    f1_per_class,
    macro_f1,
)
from raypipe.metrics.distribution import entropy_bits
from raypipe.metrics.registry import METRICS, better, metric_of, per_utterance

__all__ = [
    "METRICS",
    "ClassCounts",
    "above_threshold",
    "accuracy",
    "annotator_correct",
    "annotator_counts",
    "auroc",
    "better",
    "bhattacharyya_coefficient",
    "bhattacharyya_distance",
    "brier_score",
    "confusion_matrix",
    "counts_from_confusion",
    "debiased_calibration_error",
    "dominant",
    "dominant_shares",
    "entropy_bits",
    "equal_count",
    "equal_width",
    "expected_calibration_error",
    "f1_per_class",
    "fleiss_kappa",
    "interval",
    "js_distance",
    "js_divergence",
    "kl_divergence",
    "krippendorff_alpha",
    "macro_f1",
    "metric_of",
    "per_utterance",
    "poisson_weights",
    "prior",
    "r2",
    "r2_determination",
    "threshold_counts",
    "uniform",
]
