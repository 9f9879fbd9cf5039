"""Oracle: scikit-learn's accuracy."""

from answers import Answers
from sklearn.metrics import accuracy_score


def score(answers: Answers) -> float:
    return accuracy_score(*answers.pairs)


def with_guesses(answers: Answers) -> float:
    return accuracy_score(*answers.pairs_with_guesses)


ORACLES = {"accuracy": score}
UNIFORM_ORACLES = {"accuracy": with_guesses}
