"""What the parameters of a fitted strategy are fitted to, and what a fit gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raypipe.labels import LabelSet

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class FitRows:
    """Labelled utterances with a valid prediction each, in the order of their ids.

    Attributes:
        labels: the K labels.
        truth: soft labels, shape ``(rows, labels)``.
        plurality: index of the single most-voted label, shape ``(rows,)``; -1 for a tie.
        probs: predicted distributions, shape ``(rows, labels)``.
    """

    labels: LabelSet
    truth: Array
    plurality: Indices
    probs: Array


@dataclass(frozen=True, slots=True)
class Fit:
    """Fitted parameters.

    Attributes:
        parameters: by name.
        loss_before: mean of what was minimised without the parameters; None where that means
            nothing.
        loss_after: mean of it with them, on the rows that they were fitted to; None without rows.
    """

    parameters: Mapping[str, float]
    loss_before: float | None
    loss_after: float | None
