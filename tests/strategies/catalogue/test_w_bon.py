import numpy as np
import pytest
from made_up_hypotheses import anger, heard, predicted
from scipy.special import digamma
from scipy.stats import entropy

BEAMS = [
    heard("beam", 0.8, rank=0, alpha=float(np.log(0.6))),
    heard("beam", 0.2, rank=1, alpha=float(np.log(0.2))),
    heard("beam", None, rank=2, alpha=0.0),
]


def test_it_mixes_the_valid_beams_by_their_likelihood() -> None:
    assert anger("w_bon", BEAMS) == 0.65  # weights 3/4 and 1/4


@pytest.mark.parametrize("tau", [0.5, 1.0, 8.0])
def test_its_uncertainty_is_that_of_the_dirichlet_mixture(tau: float) -> None:
    prediction = predicted("w_bon", BEAMS, tau=tau)
    weights, probs = np.array([0.75, 0.25]), np.array([[0.8, 0.2], [0.2, 0.8]])
    expected = digamma(tau + 1) - (probs * digamma(tau * probs + 1)).sum(axis=1)
    assert prediction.aleatoric_uncertainty == pytest.approx(weights @ expected)
    assert prediction.total_uncertainty == pytest.approx(entropy([0.65, 0.35]))


def test_samples_without_likelihoods_weigh_the_same() -> None:
    samples = [
        heard("beam", share, rank=rank, alpha=None, alpha_kind="none", sampled=True)
        for rank, share in enumerate((0.9, 0.1, 0.2))
    ]
    assert anger("w_bon", samples) == 0.4
    assert predicted("w_bon", samples).weighting == "uniform"
