import numpy as np
import pytest
from tables_of_predictions import crema_d_votes

from raypipe.metrics import bhattacharyya_coefficient, js_divergence, r2
from raypipe.metrics.baselines import prior, uniform
from raypipe.metrics.classification import dominant


def test_the_prior_is_the_mean_of_the_other_speakers() -> None:
    rng = np.random.default_rng(0)
    soft = rng.dirichlet(np.ones(4), 60)
    speakers = [f"s{number % 7}" if number % 11 else None for number in range(60)]
    predictions = prior(soft, speakers)
    for row, speaker in enumerate(speakers):
        others = [p for p, name in zip(soft, speakers, strict=True) if name != speaker]
        expected = soft.mean(axis=0) if speaker is None else np.mean(others, axis=0)
        np.testing.assert_allclose(predictions[row], expected, atol=1e-12)


def test_a_lone_speaker_gets_the_mean_of_all() -> None:
    soft = np.array([[1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(prior(soft, ["a", "a"]), 0.5)


def test_speakers_must_match_utterances() -> None:
    with pytest.raises(ValueError, match="speakers"):
        prior(np.eye(2), ["a"])


def test_the_prior_row_of_crema_d_is_as_published() -> None:
    """Spec, section 6: JS 0.2903, BC 0.7377, and accuracy 0.539 with ties to the first label."""
    _, votes = crema_d_votes()
    soft = votes / votes.sum(axis=1, keepdims=True)
    assert len(soft) == 7442
    constant = prior(soft)
    assert js_divergence(soft, constant).mean() == pytest.approx(0.2903, abs=5e-5)
    assert bhattacharyya_coefficient(soft, constant).mean() == pytest.approx(0.7377, abs=5e-5)
    assert np.nanmean(r2(soft, constant)) == pytest.approx(0.4703, abs=5e-5)
    accuracy = (dominant(soft) == dominant(constant)).mean()
    assert accuracy == pytest.approx(0.5390, abs=5e-5)
    known_nothing = uniform(*soft.shape)
    assert js_divergence(soft, known_nothing).mean() == pytest.approx(0.3784, abs=5e-5)
