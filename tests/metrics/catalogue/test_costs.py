"""Oracle: NumPy's mean over all utterances whose cost is known."""

import numpy as np
from answers import Answers


def mean(answers: Answers, name: str) -> float:
    return float(np.nanmean(answers.stated[name]))


ORACLES = {
    "model_tokens": lambda answers: mean(answers, "model_tokens"),
    "verifier_calls": lambda answers: mean(answers, "verifier_calls"),
    "escalated": lambda answers: mean(answers, "escalated"),
}
