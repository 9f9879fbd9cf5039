"""Oracle: the definition, term by term."""

import math

import numpy as np


def coefficient(truth: np.ndarray, prediction: np.ndarray) -> float:
    return sum(math.sqrt(p * q) for p, q in zip(truth, prediction, strict=True))


def distance(truth: np.ndarray, prediction: np.ndarray) -> float:
    return -math.log(max(coefficient(truth, prediction), 1e-10))


ORACLES = {"bc": coefficient, "bd": distance}
