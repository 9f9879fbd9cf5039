"""What the functions of two distributions share, and the entropy of one.

``truth`` and ``prediction`` are p and q: shape ``(utterances, labels)``, rows summing to 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

Array = NDArray[np.float64]

EPS = 1e-10
"""Smoothing of q in the Kullback-Leibler divergence and floor of BC in the distance."""


def entropy_bits(probs: Array) -> Array:
    """Entropy -sum_k p_k log2 p_k of each row, in bits, in [0, log2 K]: the ambiguity.

    Args:
        probs: shape ``(..., labels)``, summing to 1 over the last axis.

    Returns:
        Shape ``(...)``.

    Example:
        >>> entropy_bits(np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]))
        array([1., 0.])
    """
    return np.asarray(entr(probs).sum(axis=-1) / np.log(2.0))


def check_shapes(truth: Array, prediction: Array) -> None:
    """Refuse what is not two distributions per utterance.

    Raises:
        ValueError: if the shapes differ or are not ``(utterances, labels)``.
    """
    if truth.ndim != 2 or truth.shape != prediction.shape:
        raise ValueError(
            f"truth {truth.shape} and prediction {prediction.shape} are not both "
            "(utterances, labels)"
        )
