from dataclasses import replace

import pytest
from made_up_hypotheses import answers_to, heard, predicted

SAMPLES = answers_to("samples")


def test_it_is_the_plain_mean_of_the_valid_samples() -> None:
    prediction = predicted("sample_mean", [*SAMPLES, heard("sample", None, rank=3)])
    assert prediction.probs == pytest.approx([0.6, 0.4])
    assert prediction.weighting == "uniform"
    assert prediction.epistemic_uncertainty is not None
    assert prediction.epistemic_uncertainty > 0


def test_how_likely_a_sample_was_does_not_count_again() -> None:
    unlikely = [replace(SAMPLES[0], alpha=-90.0), *SAMPLES[1:]]
    assert predicted("sample_mean", unlikely).probs == pytest.approx([0.6, 0.4])


def test_without_a_valid_sample_there_is_no_distribution() -> None:
    assert predicted("sample_mean", []).invalid_reason == "no_samples"
    nothing = [heard("sample", None)]
    assert predicted("sample_mean", nothing).invalid_reason == "no_valid_sample"
