"""The head on layer means is SUPERB's frame-level head: outputs, gradients, a step of training."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from frame_level import FrameLevelHead, made_up_frames

from raypipe.ssl.head import SuperbHead
from raypipe.ssl.loss import balanced_cross_entropy, class_weights

LAYERS, WIDTH, LABELS = 13, 96, 8


def both(seed: int = 0) -> tuple[FrameLevelHead, SuperbHead]:
    torch.manual_seed(seed)
    frame_level = FrameLevelHead(LAYERS, WIDTH, LABELS)
    with torch.no_grad():
        frame_level.layer_logits.normal_()
    on_means = SuperbHead(LAYERS, WIDTH, LABELS)
    on_means.load_state_dict(copy.deepcopy(frame_level.state_dict()))
    return frame_level, on_means


def test_outputs_are_the_same_within_1e_5() -> None:
    frames = made_up_frames(40, LAYERS, WIDTH, (3, 180))
    means = torch.stack([clip.mean(1) for clip in frames])
    frame_level, on_means = both()
    with torch.no_grad():
        torch.testing.assert_close(on_means(means), frame_level(frames), atol=1e-5, rtol=0)


def test_three_steps_of_training_are_the_same() -> None:
    frames = made_up_frames(32, LAYERS, WIDTH, (20, 120), seed=1)
    means = torch.stack([clip.mean(1) for clip in frames])
    soft = np.random.default_rng(2).dirichlet(np.full(LABELS, 0.5), 32)
    targets = torch.tensor(soft, dtype=torch.float32)
    weights = torch.tensor(class_weights(soft), dtype=torch.float32)
    frame_level, on_means = both(1)
    trained = []
    for head, inputs in ((frame_level, frames), (on_means, means)):
        # Plain steps: Adam divides by gradients near 0, where the last digit decides a sign.
        optimizer = torch.optim.SGD(head.parameters(), lr=0.05)
        for _ in range(3):
            optimizer.zero_grad()
            balanced_cross_entropy(head(inputs), targets, weights).backward()
            torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
            optimizer.step()
        trained.append({name: value.detach() for name, value in head.state_dict().items()})
    assert not torch.equal(trained[0]["layer_logits"], both(1)[0].layer_logits)
    for name, value in trained[0].items():
        torch.testing.assert_close(trained[1][name], value, atol=1e-5, rtol=0)


def test_a_layer_norm_of_every_frame_would_not_commute_with_the_mean() -> None:
    """Why s3prl's option ``normalize`` must be off for the equality; it is by default."""
    frames = made_up_frames(4, LAYERS, WIDTH, (20, 60))
    frame_level, on_means = both()
    normed = [torch.nn.functional.layer_norm(clip, (WIDTH,)) for clip in frames]
    means = torch.stack([clip.mean(1) for clip in frames])
    of_means = torch.nn.functional.layer_norm(means, (WIDTH,))
    with torch.no_grad():
        assert (frame_level(normed) - on_means(of_means)).abs().max() > 0.01


@pytest.mark.parametrize("hidden", [None, 16])
def test_the_projection_may_be_left_out(hidden: int | None) -> None:
    head = SuperbHead(2, 5, 3, hidden)
    assert head(torch.zeros(4, 2, 5)).shape == (4, 3)
    assert head.layer_weights().tolist() == [0.5, 0.5]
