from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from raypipe.records import Prediction
from raypipe.strategies import ensemble, mean_of
from raypipe.strategies.dirichlet import mixture_covariance, mixture_mean, split_entropy


def one(anger: float | None, **more: object) -> Prediction:
    if anger is None:
        return replace(Prediction("w_bon", None, "none", "no_beams"), **more)  # type: ignore[arg-type]
    probs = np.array([anger, 1.0 - anger])
    total, aleatoric, epistemic = split_entropy(probs, np.ones(1), probs[None], 1.0)
    plain = Prediction(
        "w_bon", probs, "json", None, total / np.log(2), total, aleatoric, epistemic, "alpha"
    )
    plain = replace(plain, covariance=mixture_covariance(np.ones(1), probs[None], 1.0))
    return replace(plain, **more)  # type: ignore[arg-type]


def test_the_mean_is_weighted() -> None:
    mean = mean_of([one(0.9), one(0.1)], [30.0, 10.0], "moments")
    np.testing.assert_allclose(mean.probs, [0.7, 0.3])
    assert mean.entropy == pytest.approx(stats.entropy([0.7, 0.3], base=2))
    assert mean.strategy == "w_bon"


def test_one_part_stays_as_it_is() -> None:
    part = one(0.9, model_tokens=7)
    assert mean_of([part], [12.5], "moments") is part


def test_invalid_parts_drop_out_and_the_rest_is_renormalised() -> None:
    parts = [one(None), one(0.8), one(0.2)]
    mean = mean_of(parts, [5.0, 3.0, 1.0], "moments")
    np.testing.assert_allclose(mean.probs, [0.65, 0.35])
    alone = mean_of([one(None), one(0.8)], [5.0, 3.0], "alternatives")
    assert alone.aleatoric_uncertainty == one(0.8).aleatoric_uncertainty
    assert alone.probs is not None
    assert alone.probs.tolist() == [0.8, pytest.approx(0.2)]


def test_without_a_valid_part_the_first_reason_is_kept() -> None:
    parts = [one(None), one(None, invalid_reason="no_alpha")]
    mean = mean_of(parts, [1.0, 1.0], "moments")
    assert (mean.probs, mean.invalid_reason, mean.valid) == (None, "no_beams", False)


def test_alternatives_are_components_of_one_mixture() -> None:
    """The laws of total entropy and covariance, against the mixture of all components at once."""
    shares, weights = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0.75, 0.25])
    mean = mean_of([one(0.9), one(0.2)], [3.0, 1.0], "alternatives")
    mixture = split_entropy(mixture_mean(weights, shares), weights, shares, 1.0)
    found = (mean.total_uncertainty, mean.aleatoric_uncertainty, mean.epistemic_uncertainty)
    np.testing.assert_allclose(np.array(found, dtype=np.float64), mixture)
    np.testing.assert_allclose(mean.covariance, mixture_covariance(weights, shares, 1.0))


def test_the_entropy_of_an_average_of_moments_is_not_told_by_its_parts() -> None:
    """Two moments, each sure of another emotion: the mixed truth is ambiguous, not unknown."""
    mean = mean_of([one(1.0), one(0.0)], [1.0, 1.0], "moments")
    assert mean.total_uncertainty == pytest.approx(np.log(2))
    assert (mean.aleatoric_uncertainty, mean.epistemic_uncertainty) == (None, None)
    assert mean.covariance is None


def test_uncertainty_that_a_part_does_not_know_is_unknown() -> None:
    bare = Prediction("w_bon", np.array([0.5, 0.5]), None)
    mean = mean_of([one(0.9), bare], [1.0, 1.0], "alternatives")
    assert (mean.total_uncertainty, mean.aleatoric_uncertainty) == (None, None)
    assert mean.covariance is None
    assert (mean.parse_rule, mean.weighting) == ("json", "alpha")


def test_rules_are_joined_as_the_parts_join_theirs() -> None:
    parts = [one(0.9, parse_rule="json+percent_list"), one(0.8, parse_rule="percent_list+keyword")]
    assert mean_of(parts, [1.0, 1.0], "moments").parse_rule == "json+percent_list+keyword"


def test_costs_of_all_parts_add_up_those_of_invalid_ones_too() -> None:
    parts = [one(0.9, model_tokens=10, verifier_calls=2), one(None, model_tokens=5)]
    mean = mean_of(parts, [1.0, 1.0], "alternatives")
    assert (mean.model_tokens, mean.verifier_calls) == (15, None)


def test_an_ensemble_is_the_mean_over_prompts_per_strategy() -> None:
    by_prompt = {
        "distribution": [one(0.9, strategy="greedy"), one(0.5, escalated=True)],
        "ambiguous": [one(0.5, strategy="greedy"), one(0.1, escalated=False)],
    }
    greedy, mixed = ensemble(by_prompt)
    np.testing.assert_allclose(greedy.probs, [0.7, 0.3])
    np.testing.assert_allclose(mixed.probs, [0.3, 0.7])
    assert (greedy.strategy, mixed.strategy) == ("greedy", "w_bon")
    assert (greedy.escalated, mixed.escalated) == (None, True)


@pytest.mark.parametrize(
    ("predictions", "weights"),
    [
        ([], []),
        ([one(0.5), one(0.5, strategy="bon")], [1.0, 1.0]),
        ([one(0.5), one(0.5)], [1.0]),
        ([one(0.5), one(0.5)], [1.0, 0.0]),
    ],
)
def test_what_has_no_mean_is_refused(predictions: list[Prediction], weights: list[float]) -> None:
    with pytest.raises(ValueError, match=r"strategy|weights"):
        mean_of(predictions, weights, "moments")


def test_prompts_with_different_strategies_are_no_ensemble() -> None:
    with pytest.raises(ValueError, match="same strategies"):
        ensemble({"a": [one(0.5)], "b": [one(0.5, strategy="bon")]})
    with pytest.raises(ValueError, match="same strategies"):
        ensemble({})
