"""Oracle: SciPy's relative entropy to the smoothed prediction."""

import numpy as np
from scipy import stats


def divergence(truth: np.ndarray, prediction: np.ndarray) -> float:
    return float(stats.entropy(truth, prediction + 1e-10))  # which normalises


ORACLES = {"kl": divergence}
