"""Oracle: scikit-learn's multi-label F1."""

import numpy as np
import pytest
from answers import Answers, K
from sklearn.metrics import f1_score

from raypipe.metrics.catalogue.threshold import batch_threshold_macro_f1


def macro_f1(answers: Answers) -> float:
    truth, prediction = answers.truth[answers.valid], answers.probs[answers.valid]
    above = 1 / K + 1e-9
    return f1_score(truth > above, prediction > above, average="macro", zero_division=0)


ORACLES = {"threshold_macro_f1": macro_f1}


def test_the_mean_over_batches_is_scikit_learns() -> None:
    """As EMO-SUPERB's trainer logs it: the macro average of every 32 clips, then the mean."""
    random = np.random.default_rng(3)
    truth = random.dirichlet(np.full(8, 0.4), 75)
    guess = random.dirichlet(np.full(8, 0.4), 75)
    expected = [
        f1_score(
            truth[at : at + 32] > 1 / 8,
            guess[at : at + 32] > 1 / 8,
            average="macro",
            zero_division=0,
        )
        for at in range(0, 75, 32)
    ]
    assert batch_threshold_macro_f1(truth, guess) == pytest.approx(np.mean(expected))
