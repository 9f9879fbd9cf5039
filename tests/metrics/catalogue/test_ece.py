"""Oracle: the textbook's loop over bins."""

from answers import Answers


def error(answers: Answers) -> float:
    total = 0.0
    for index in range(10):
        above = answers.confidence > index / 10 + 1e-9
        inside = above & (answers.confidence <= (index + 1) / 10 + 1e-9)
        if inside.any():
            gap = abs(answers.correct[inside].mean() - answers.confidence[inside].mean())
            total += inside.mean() * gap
    return total


ORACLES = {"ece": error}
