"""What predictions cost on average: tokens, calls of a verifier, escalations.

Costs are means over all utterances of a slice whose cost is known, invalid predictions and
unlabelled utterances included: they were paid for as well.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from raypipe.metrics.exact import to_units
from raypipe.metrics.registry import COSTS
from raypipe.metrics.sums import Statistic, whole

Array = NDArray[np.float64]

# A summand stays below 256 (see raypipe.metrics.exact), a count in millions: 1 counts as 2^-16.
_SCALE = 2.0**16


def cost_units(costs: Array) -> Array:
    """Summands in units: every cost, then whether it is known; shape ``(rows, 2 * costs)``.

    A cost of 2^24 or more counts as 2^24.
    """
    return np.hstack([to_units(costs / _SCALE), to_units(~np.isnan(costs))])


def cost_statistics(sums: Array) -> dict[str, Statistic]:
    """Mean costs, of those that are known for any utterance.

    Args:
        sums: of :func:`cost_units`, divided by the unit, shape ``(1 + replicates, 2 * costs)``,
            the unweighted sums first.
    """
    totals, counts = np.split(sums, 2, axis=1)
    with np.errstate(invalid="ignore"):  # a replicate that drew no row
        means = totals * _SCALE / counts
    return {
        name: Statistic(means[:, place], whole(counts[0, place]), 0)
        for place, name in enumerate(COSTS)
        if counts[0, place] > 0.0
    }
