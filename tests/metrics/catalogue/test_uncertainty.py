"""Oracle: scikit-learn's AUROC."""

import numpy as np
from answers import Answers
from scipy import stats
from sklearn.metrics import roc_auc_score


def of_entropy(answers: Answers) -> float:
    entropy = np.round(stats.entropy(answers.probs[answers.valid], axis=1, base=2), 9)
    return float(roc_auc_score(answers.ambiguous[answers.valid], entropy))


def of_column(answers: Answers, name: str) -> float:
    return float(
        roc_auc_score(answers.ambiguous[answers.valid], answers.stated[name][answers.valid])
    )


ORACLES = {
    "uncertainty_auroc": of_entropy,
    "aleatoric_auroc": lambda answers: of_column(answers, "aleatoric_uncertainty"),
    "epistemic_auroc": lambda answers: of_column(answers, "epistemic_uncertainty"),
}
