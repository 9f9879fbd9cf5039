"""Oracle: the textbook's loop over bins, and the expectation of the plug-in by quadrature."""

import numpy as np
import pytest
from answers import Answers
from scipy import optimize, stats

from raypipe.metrics.catalogue.ece import debiased_calibration_error


def bins_of(correct: np.ndarray, confidence: np.ndarray) -> list[np.ndarray]:
    """Gaps of the utterances of every bin."""
    gaps = []
    for index in range(10):
        above = confidence > index / 10 + 1e-9
        inside = above & (confidence <= (index + 1) / 10 + 1e-9)
        gaps.append(correct[inside] - confidence[inside])
    return gaps


def debiased(correct: np.ndarray, confidence: np.ndarray) -> float:
    bins = [gaps for gaps in bins_of(correct, confidence) if gaps.size]
    means = np.array([gaps.sum() for gaps in bins]) / len(correct)
    deviations = np.array([np.sqrt((gaps**2).sum()) for gaps in bins]) / len(correct)
    plug_in = np.abs(means).sum()

    def expected(part: float) -> float:
        """Mean sum of |N(part * gap, deviation)|, from scipy's folded normal."""
        noisy = deviations > 0
        folded = stats.foldnorm.mean(
            part * np.abs(means[noisy]) / deviations[noisy], scale=deviations[noisy]
        )
        return float(folded.sum() + part * np.abs(means[~noisy]).sum())

    if expected(0.0) >= plug_in:
        return 0.0
    return plug_in * optimize.brentq(lambda part: expected(part) - plug_in, 0, 1, xtol=1e-15)


def error(answers: Answers) -> float:
    return debiased(answers.correct, answers.confidence)


ORACLES = {"ece": error}


@pytest.mark.parametrize("count", [3, 60, 300])
@pytest.mark.parametrize("excess", [0.0, 0.1, 0.4])
def test_the_function_agrees_with_the_oracle(count: int, excess: float) -> None:
    rng = np.random.default_rng(count)
    confidence = rng.uniform(0.4, 1.0, count)
    correct = (rng.random(count) < confidence - excess).astype(float)
    expected = debiased(correct, confidence)
    assert debiased_calibration_error(correct, confidence) == pytest.approx(expected, abs=1e-9)


def test_a_large_error_is_left_as_it_is_and_none_stays_none() -> None:
    assert np.isnan(debiased_calibration_error(np.array([]), np.array([])))
    assert debiased_calibration_error(np.ones(50), np.ones(50)) == 0.0
    assert debiased_calibration_error(np.zeros(900), np.ones(900)) == pytest.approx(1.0, abs=1e-6)
