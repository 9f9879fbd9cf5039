"""Oracles: SciPy's correlation and scikit-learn's coefficient of determination."""

import numpy as np
from answers import Answers
from scipy import stats
from sklearn.metrics import r2_score


def is_constant(values: np.ndarray) -> bool:
    return bool(np.ptp(values) < 1e-9)


def squared_correlation(truth: np.ndarray, prediction: np.ndarray) -> float:
    if is_constant(truth) or is_constant(prediction):
        return float("nan")
    return float(stats.pearsonr(truth, prediction).statistic ** 2)


def determination(truth: np.ndarray, prediction: np.ndarray) -> float:
    return float("nan") if is_constant(truth) else float(r2_score(truth, prediction))


def undefined(answers: Answers) -> float:
    pairs = zip(answers.truth[answers.valid], answers.probs[answers.valid], strict=True)
    return sum(is_constant(truth) or is_constant(prediction) for truth, prediction in pairs)


def uniform_value(truth: np.ndarray) -> float:
    """A constant prediction explains nothing."""
    return float("nan") if is_constant(truth) else 0.0


ORACLES = {"r2": squared_correlation, "r2_det": determination, "r2_undefined": undefined}
UNIFORM_ORACLES = {"r2": uniform_value}
