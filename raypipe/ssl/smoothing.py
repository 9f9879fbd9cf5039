"""Label smoothing of soft labels, in the two forms in use."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

SmoothingForm = Literal["emo_superb", "szegedy"]
"""``emo_superb``: y(1-e) + (1-y)e/(C-1), what its published label files hold; ``szegedy``:
y(1-e) + e/C, of the paper that is cited for it."""


def smoothed(
    labels: NDArray[np.float64], epsilon: float, form: SmoothingForm = "emo_superb"
) -> NDArray[np.float64]:
    """Soft labels with a share of every label.

    A label with a share of exactly 1/C keeps it in both forms.

    Args:
        labels: shape ``(utterances, labels)``, rows sum to 1.
        epsilon: in [0, 1].
        form: which.

    Example:
        >>> smoothed(np.array([[1.0, 0.0, 0.0]]), 0.06)
        array([[0.94, 0.03, 0.03]])
        >>> smoothed(np.array([[1.0, 0.0, 0.0]]), 0.06, "szegedy")
        array([[0.96, 0.02, 0.02]])
    """
    count = labels.shape[1]
    kept = labels * (1 - epsilon)
    if form == "szegedy":
        return np.asarray(kept + epsilon / count)
    return np.asarray(kept + (1 - labels) * epsilon / (count - 1))
