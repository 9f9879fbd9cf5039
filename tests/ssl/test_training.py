"""Training learns, is the same for a seed, and keeps the epoch with the lowest dev loss."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import get_cosine_schedule_with_warmup

from raypipe.errors import ConfigError
from raypipe.ssl.training import Examples, HeadTraining, rate_at, train_head

FAST = HeadTraining(learning_rate=3e-3, warmup_steps=5, epochs=8)


def examples(count: int, seed: int, noise: float = 0.3) -> Examples:
    """Clips whose second of three layers holds their soft label."""
    random = np.random.default_rng(seed)
    soft = random.dirichlet(np.full(4, 0.4), count)
    features = random.normal(size=(count, 3, 6)) * noise
    features[:, 1, :4] += 3 * soft
    return Examples(features.astype(np.float32), soft)


def test_a_head_learns_and_finds_the_layer() -> None:
    trained = train_head(examples(400, 0), examples(80, 1), replace(FAST, epochs=40), seed=0)
    test = examples(200, 2)
    guess = trained.predict(test.features)
    np.testing.assert_allclose(guess.sum(1), 1)
    assert (guess.argmax(1) == test.labels.argmax(1)).mean() > 0.8
    assert trained.layer_weights.argmax() == 1
    assert trained.layer_weights.sum() == pytest.approx(1)
    assert trained.train_losses[-1] < trained.train_losses[0]


def test_a_seed_decides_everything() -> None:
    torch.manual_seed(123)
    first = train_head(examples(100, 0), examples(40, 1), FAST, seed=5)
    torch.manual_seed(321)
    again = train_head(examples(100, 0), examples(40, 1), FAST, seed=5)
    other = train_head(examples(100, 0), examples(40, 1), FAST, seed=6)
    assert first.dev_losses == again.dev_losses
    for name, value in first.weights.items():
        np.testing.assert_array_equal(value, again.weights[name])
    assert first.dev_losses != other.dev_losses


def test_the_best_epoch_is_kept() -> None:
    train, dev = examples(40, 0, noise=2.0), examples(40, 1, noise=2.0)
    settings = replace(FAST, epochs=60, learning_rate=0.03)  # overfits
    best = train_head(train, dev, settings, seed=0)
    assert best.best_epoch == 1 + int(np.argmin(best.dev_losses)) < 60
    last = train_head(train, dev, replace(settings, best_epoch=False), seed=0)
    assert last.best_epoch == 60
    assert last.dev_losses == best.dev_losses


def test_rates_are_those_of_transformers_schedule() -> None:
    settings = HeadTraining(warmup_steps=7)
    optimizer = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=1e-4)
    schedule = get_cosine_schedule_with_warmup(optimizer, 7, 50)
    for step in range(50):
        assert rate_at(step, 50, settings) == pytest.approx(schedule.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        schedule.step()
    constant = replace(settings, schedule="constant")
    assert rate_at(30, 50, constant) == 1e-4


def test_nothing_to_learn_from_is_refused() -> None:
    with pytest.raises(ConfigError, match="0 dev"):
        train_head(examples(5, 0), examples(0, 0), FAST, seed=0)
