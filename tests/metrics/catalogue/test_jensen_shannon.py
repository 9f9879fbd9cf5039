"""Oracle: SciPy's Jensen-Shannon distance."""

import numpy as np
from scipy.spatial.distance import jensenshannon


def distance(truth: np.ndarray, prediction: np.ndarray) -> float:
    return float(np.nan_to_num(jensenshannon(truth, prediction, base=2)))  # rounding below 0


ORACLES = {
    "js": lambda truth, prediction: distance(truth, prediction) ** 2,
    "js_distance": distance,
}
