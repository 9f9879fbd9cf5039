"""Oracle: scikit-learn's Brier score, a tie's labels each for their part."""

import numpy as np
from answers import REPEATS, Answers
from sklearn.metrics import brier_score_loss


def score(answers: Answers) -> float:
    truth, predicted = answers.pairs
    return brier_score_loss(truth == predicted, np.repeat(answers.confidence, REPEATS))


ORACLES = {"brier": score}
