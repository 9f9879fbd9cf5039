import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from raypipe.strategies.dirichlet import (
    expected_entropy,
    mixture_covariance,
    mixture_mean,
    softmax_weights,
    summarise,
    verifier_weights,
)

WEIGHTS = np.array([0.5, 0.3, 0.2])
PROBS = np.array([[0.6, 0.3, 0.1, 0.0], [0.1, 0.2, 0.3, 0.4], [1.0, 0.0, 0.0, 0.0]])


def sampled_mixture(tau: float, count: int) -> np.ndarray:
    """Draws of p: a component by weight, then its Dirichlet on the support of p_b."""
    rng = np.random.default_rng(3)
    components = rng.choice(3, size=count, p=WEIGHTS)
    draws = np.zeros((count, 4))
    for component in range(3):
        rows = np.flatnonzero(components == component)
        support = np.flatnonzero(PROBS[component])
        draws[np.ix_(rows, support)] = rng.dirichlet(tau * PROBS[component, support], rows.size)
    return draws


@pytest.mark.parametrize(("tau", "count"), [(1.0, 1_000_000), (12.0, 200_000)])
def test_mean_covariance_and_entropies_agree_with_sampling(tau: float, count: int) -> None:
    draws = sampled_mixture(tau, count)
    summary = summarise(WEIGHTS, PROBS, tau)
    standard_error = draws.std(axis=0) / np.sqrt(count)
    assert (np.abs(draws.mean(axis=0) - summary.mean) <= 5.0 * standard_error + 1e-12).all()
    np.testing.assert_allclose(np.cov(draws.T), summary.covariance, atol=6.0 / np.sqrt(count) / 2)
    entropies = stats.entropy(draws, axis=1)
    tolerance = 5.0 * entropies.std() / np.sqrt(count)
    assert abs(entropies.mean() - summary.aleatoric) < tolerance
    assert summary.total == pytest.approx(stats.entropy(WEIGHTS @ PROBS), abs=1e-12)
    assert summary.epistemic == pytest.approx(summary.total - summary.aleatoric, abs=1e-15)


def test_one_component_agrees_with_scipys_dirichlet() -> None:
    probs, tau = np.array([0.5, 0.3, 0.2]), 4.0
    reference = stats.dirichlet(tau * probs)
    summary = summarise(np.ones(1), probs[None, :], tau)
    np.testing.assert_allclose(summary.mean, reference.mean(), atol=1e-12)
    np.testing.assert_allclose(np.diag(summary.covariance), reference.var(), atol=1e-12)
    np.testing.assert_allclose(summary.covariance, reference.cov(), atol=1e-12)


def test_expected_entropy_agrees_with_integration_over_a_beta() -> None:
    def integrand(share: float) -> float:
        return float(stats.beta.pdf(share, 3.0, 2.0) * stats.entropy([share, 1.0 - share]))

    integral, _ = quad(integrand, 0.0, 1.0)
    value = expected_entropy(np.ones(1), np.array([[0.6, 0.4]]), tau=5.0)
    assert value == pytest.approx(integral, abs=1e-7)


def test_the_law_of_total_covariance_splits_into_inside_and_between() -> None:
    covariance = mixture_covariance(WEIGHTS, PROBS, tau=1.0)
    mean = WEIGHTS @ PROBS
    inside = sum(
        w * (np.diag(p) - np.outer(p, p)) / 2.0 for w, p in zip(WEIGHTS, PROBS, strict=True)
    )
    between = sum(w * np.outer(p - mean, p - mean) for w, p in zip(WEIGHTS, PROBS, strict=True))
    np.testing.assert_allclose(covariance, inside + between, atol=1e-15)
    np.testing.assert_allclose(covariance.sum(axis=1), 0.0, atol=1e-15)
    np.testing.assert_array_equal(covariance, covariance.T)
    assert np.linalg.eigvalsh(covariance).min() > -1e-12


def test_a_one_hot_beam_has_no_uncertainty_and_zero_entries_stay_exact() -> None:
    summary = summarise(np.ones(1), np.array([[0.0, 1.0, 0.0]]), tau=1.0)
    assert summary.mean.tolist() == [0.0, 1.0, 0.0]
    assert (summary.total, summary.aleatoric, summary.epistemic) == (0.0, 0.0, 0.0)
    assert not summary.covariance.any()


def test_uncertainties_are_ordered_for_random_mixtures() -> None:
    rng = np.random.default_rng(5)
    for _ in range(300):
        beams = rng.integers(1, 8)
        probs = rng.dirichlet(np.full(5, 0.3), size=beams)
        probs[probs < 0.05] = 0.0
        probs /= probs.sum(axis=1, keepdims=True)
        summary = summarise(rng.dirichlet(np.ones(beams)), probs, tau=float(rng.uniform(0.1, 50)))
        assert 0.0 <= summary.aleatoric <= summary.total <= np.log(5.0) + 1e-12
        assert summary.epistemic >= 0.0


def test_epistemic_uncertainty_vanishes_as_tau_grows() -> None:
    probs = np.array([[0.5, 0.3, 0.2]])
    parts = [summarise(np.ones(1), probs, tau).epistemic for tau in (0.1, 1.0, 10.0, 1e6)]
    assert parts == sorted(parts, reverse=True)
    assert parts[-1] < 1e-5


def test_softmax_weights_survive_the_size_of_real_log_likelihoods() -> None:
    alphas = np.array([-1200.0, -1201.0, -1300.0])
    expected = np.exp(alphas + 1200.0) / np.exp(alphas + 1200.0).sum()
    np.testing.assert_allclose(softmax_weights(alphas), expected, rtol=1e-12)
    assert softmax_weights(np.array([-3.0, -np.inf])).tolist() == [1.0, 0.0]


def test_length_normalised_weights_use_the_mean_log_probability() -> None:
    weights = softmax_weights(np.array([-10.0, -10.0]), np.array([10, 20]))
    np.testing.assert_allclose(weights, np.exp([-1.0, -0.5]) / np.exp([-1.0, -0.5]).sum())


def test_verifier_weights_are_shares_and_uniform_without_any_trust() -> None:
    np.testing.assert_allclose(verifier_weights(np.array([0.6, 0.2])), [0.75, 0.25])
    assert verifier_weights(np.zeros(4)).tolist() == [0.25] * 4


@pytest.mark.parametrize("alphas", [[], [np.nan], [-np.inf, -np.inf]])
def test_weights_without_a_finite_alpha_are_refused(alphas: list[float]) -> None:
    with pytest.raises(ValueError, match="log-likelihood"):
        softmax_weights(np.array(alphas))


@pytest.mark.parametrize("scores", [[], [-0.1], [np.nan]])
def test_unusable_scores_are_refused(scores: list[float]) -> None:
    with pytest.raises(ValueError, match="verifier scores"):
        verifier_weights(np.array(scores))


def test_misaligned_beams_and_a_zero_tau_are_refused() -> None:
    with pytest.raises(ValueError, match="beams"):
        mixture_mean(np.ones(2) / 2, PROBS)
    with pytest.raises(ValueError, match="tau"):
        summarise(WEIGHTS, PROBS, tau=0.0)
