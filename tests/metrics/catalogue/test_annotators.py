"""Oracle: the rule of the paper, utterance by utterance."""

import numpy as np
from answers import Answers, K


def accuracy(answers: Answers) -> float:
    rows = np.flatnonzero(answers.valid)
    return float(np.mean([answers.votes[row, answers.dominant[row]] > 0 for row in rows]))


def macro_f1(answers: Answers) -> float:
    hits, false, missed = np.zeros((3, K))
    for row in np.flatnonzero(answers.scorable):
        label = answers.dominant[row]
        if answers.votes[row, label] > 0:
            hits[label] += 1
        else:
            false[label] += 1
            missed[answers.plurality[row]] += 1
    return float(np.nanmean(2 * hits / (2 * hits + false + missed)))


ORACLES = {"annotator_accuracy": accuracy, "annotator_macro_f1": macro_f1}
