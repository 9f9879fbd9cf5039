"""Oracle: scikit-learn's Brier score."""

from answers import Answers
from sklearn.metrics import brier_score_loss


def score(answers: Answers) -> float:
    return brier_score_loss(answers.correct, answers.confidence)


ORACLES = {"brier": score}
