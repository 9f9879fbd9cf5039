"""p-values of paired differences, and their correction for how many are looked at."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

Array = NDArray[np.float64]

LEVEL = 0.05
"""Two systems are told apart where the corrected p-value of their difference is below this."""


def p_value(differences: Array, units: int) -> float:
    """Two-sided p-value of a difference being 0, from its bootstrap replicates.

    Student's t of the difference over the standard deviation of its replicates. Counting
    replicates beyond 0 instead could give none below 1 / replicates, which a correction for many
    differences makes large.

    Args:
        differences: the difference itself, then one per replicate, NaN where undefined; shape
            ``(1 + replicates,)``.
        units: what the bootstrap draws, utterances or speakers; degrees of freedom are one less.

    Returns:
        In [0, 1]; NaN where the difference is undefined, for less than two units or two
        replicates. 1 where every difference is 0.

    Example:
        >>> round(p_value(np.array([0.3, 0.2, 0.4, 0.1, 0.5]), units=50), 3)
        0.107
    """
    replicates = differences[1:][~np.isnan(differences[1:])]
    if math.isnan(differences[0]) or units < 2 or replicates.size < 2:
        return math.nan
    error = float(replicates.std(ddof=1))
    if error == 0.0:
        return 1.0 if differences[0] == 0.0 else 0.0
    return float(2.0 * stdtr(units - 1, -abs(float(differences[0])) / error))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for how many there are: the chance that any of them errs stays bounded.

    Holm, Scand. J. Stat. 6 (1979): of m values the k-th smallest is multiplied by m - k + 1, and
    is never below the ones before it. NaN stays NaN and is not counted.

    Example:
        >>> [round(value, 3) for value in holm([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]
    """
    order = sorted(
        (index for index, value in enumerate(p_values) if not math.isnan(value)),
        key=lambda index: p_values[index],
    )
    corrected = list(p_values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, p_values[index] * (len(order) - rank)))
        corrected[index] = largest
    return corrected
