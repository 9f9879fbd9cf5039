"""Oracle: counting."""

import numpy as np
from answers import Answers


def invalid_rate(answers: Answers) -> float:
    return float(np.mean([np.isnan(probs).any() for probs in answers.probs]))


def ties(answers: Answers) -> float:
    votes = answers.votes[answers.valid]
    return sum(sorted(given)[-1] == sorted(given)[-2] for given in votes.tolist())


def prediction_ties(answers: Answers) -> float:
    return sum(len(leading) > 1 for leading in answers.leading)


ORACLES = {"invalid_rate": invalid_rate, "ties": ties, "prediction_ties": prediction_ties}
