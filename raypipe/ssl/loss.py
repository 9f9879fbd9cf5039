"""Class-balanced cross-entropy for soft labels, as EMO-SUPERB's published code trains."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

SHARE_TOLERANCE = 1e-9
"""A share of exactly 1/C is off, also when it was computed with rounding."""


def class_weights(labels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of the labels by their effective numbers (Cui et al. 2019).

    w_c is proportional to (1-b) / (1-b^n_c) with b = (N-1)/N: n_c of the N training labels have
    more than 1/C of it. A label that none has counts as if one had, where the published code
    divides by zero.

    Args:
        labels: soft labels of the training set, shape ``(utterances, labels)``.

    Returns:
        Shape ``(labels,)``, mean 1.

    Example:
        >>> class_weights(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.9, 0.1]])).round(4)
        array([0.6038, 1.3962])
    """
    count, width = labels.shape
    above = (labels > 1 / width + SHARE_TOLERANCE).sum(0)
    beta = (count - 1) / count
    weights = (1 - beta) / (1 - beta ** np.maximum(above, 1))
    return np.asarray(weights / weights.sum() * width, np.float64)


def balanced_cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Mean over clips of (sum_c w_c y_c) * (-sum_c y_c log softmax(z)_c).

    Args:
        logits: shape ``(clips, labels)``.
        targets: soft labels, same shape.
        weights: of the labels, shape ``(labels,)``; ones for the plain cross-entropy.
    """
    of_clips = (targets * weights).sum(1)
    return (of_clips * -(targets * logits.log_softmax(1)).sum(1)).mean()
