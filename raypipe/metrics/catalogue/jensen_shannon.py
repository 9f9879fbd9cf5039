"""Jensen-Shannon divergence and distance of two distributions, row by row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

from raypipe.metrics.distribution import check_shapes
from raypipe.metrics.kinds import Of, UtteranceMetric
from raypipe.metrics.metric import NEVER, Section

Array = NDArray[np.float64]


def js_divergence(truth: Array, prediction: Array) -> Array:
    """Jensen-Shannon divergence, base 2: (KL(p||m) + KL(q||m)) / 2 with m = (p + q) / 2.

    In [0, 1]; 0 for equal rows, 1 for disjoint ones. Not its square root.

    Raises:
        ValueError: if the shapes differ or are not ``(utterances, labels)``.

    Example:
        >>> js_divergence(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([[0.0, 1.0], [0.5, 0.5]]))
        array([1., 0.])
    """
    check_shapes(truth, prediction)
    middle = (truth + prediction) / 2.0
    nats = (rel_entr(truth, middle) + rel_entr(prediction, middle)).sum(axis=1) / 2.0
    return np.asarray(np.clip(nats / np.log(2.0), 0.0, 1.0))


def js_distance(truth: Array, prediction: Array) -> Array:
    """Square root of the base-2 Jensen-Shannon divergence: a metric, in [0, 1].

    Example:
        >>> js_distance(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]))
        array([1.])
    """
    return np.asarray(np.sqrt(js_divergence(truth, prediction)))


JS = UtteranceMetric(
    name="js",
    title="JS",
    description="Jensen-Shannon divergence, base 2, of the soft label and the prediction",
    range=(0.0, 1.0),
    unit="bits",
    better="lower",
    undefined=NEVER,
    source="(KL(p||m) + KL(q||m)) / 2, m = (p + q) / 2; Lin, IEEE Trans. Inf. Theory 37 (1991)",
    section=Section.DISTRIBUTION,
    rank=10,
    headline=True,
    function=js_divergence,
    skill=True,
    difference=True,
    median=True,
)
JS_DISTANCE = UtteranceMetric(
    name="js_distance",
    title="JS distance",
    description="square root of the Jensen-Shannon divergence, base 2",
    range=(0.0, 1.0),
    better="lower",
    undefined=NEVER,
    source="sqrt(JS); Endres and Schindelin, IEEE Trans. Inf. Theory 49 (2003)",
    section=Section.DISTRIBUTION,
    rank=20,
    function=Of(JS, np.sqrt),
)
METRICS = (JS, JS_DISTANCE)
