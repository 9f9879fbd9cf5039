"""The loss is that of EMO-SUPERB's published code, computed here by its formulas in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from raypipe.ssl.loss import balanced_cross_entropy, class_weights
from raypipe.ssl.smoothing import smoothed

RANDOM = np.random.default_rng(0)
SOFT = RANDOM.dirichlet(np.full(5, 0.6), 200)


def test_weights_by_hand() -> None:
    above = (SOFT > 0.2).sum(0)
    raw = (1 / 200) / (1 - (199 / 200) ** above)
    np.testing.assert_allclose(class_weights(SOFT), raw / raw.mean())


def test_a_label_that_nobody_has_has_a_weight() -> None:
    weights = class_weights(np.array([[0.5, 0.5, 0.0]] * 10))
    assert np.isfinite(weights).all()
    assert weights.mean() == pytest.approx(1)
    assert weights[2] > weights[0]


def test_the_loss_by_hand() -> None:
    logits = RANDOM.normal(size=(200, 5))
    weights = class_weights(SOFT)
    log_probs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    expected = np.mean((SOFT @ weights) * -(SOFT * log_probs).sum(1))
    found = balanced_cross_entropy(*map(torch.tensor, (logits, SOFT, weights)))
    assert float(found) == pytest.approx(expected)


@pytest.mark.parametrize("form", ["emo_superb", "szegedy"])
def test_smoothing_keeps_the_sum_and_the_share_of_1_c(form: str) -> None:
    out = smoothed(SOFT, 0.05, form)  # type: ignore[arg-type]
    np.testing.assert_allclose(out.sum(1), 1)
    np.testing.assert_allclose(smoothed(np.full((1, 5), 0.2), 0.05, form), 0.2)  # type: ignore[arg-type]
    on = np.abs(SOFT - 0.2) > 1e-6
    assert ((out > 0.2) == (SOFT > 0.2))[on].all()


def test_smoothing_gives_the_published_numbers() -> None:
    """Of EMO-SUPERB's label files: one label of eight, and two of three votes of four labels."""
    assert smoothed(np.eye(1, 9), 0.05)[0, :2] == pytest.approx([0.95, 0.00625])
    two_thirds = smoothed(np.array([[2 / 3, 1 / 3, 0, 0]]), 0.05)
    assert two_thirds[0, :2] == pytest.approx([0.638889, 0.327778], abs=1e-5)
