"""Oracle: scikit-learn's F1."""

import numpy as np
from answers import Answers, K
from sklearn.metrics import f1_score


def macro(answers: Answers) -> float:
    return f1_score(*answers.pairs, average="macro")


def macro_with_guesses(answers: Answers) -> float:
    return f1_score(*answers.pairs_with_guesses, average="macro")


def per_label(answers: Answers) -> np.ndarray:
    return f1_score(*answers.pairs, average=None, labels=range(K))


ORACLES = {"macro_f1": macro, "f1": per_label}
UNIFORM_ORACLES = {"macro_f1": macro_with_guesses}
