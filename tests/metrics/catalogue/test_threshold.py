"""Oracle: scikit-learn's multi-label F1."""

from answers import Answers, K
from sklearn.metrics import f1_score


def macro_f1(answers: Answers) -> float:
    truth, prediction = answers.truth[answers.valid], answers.probs[answers.valid]
    above = 1 / K + 1e-9
    return f1_score(truth > above, prediction > above, average="macro", zero_division=0)


ORACLES = {"threshold_macro_f1": macro_f1}
