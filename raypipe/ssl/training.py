"""Training of a head, in one process and the same on every machine: arithmetic without Ray."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from raypipe.errors import ConfigError
from raypipe.ssl.head import SuperbHead
from raypipe.ssl.loss import balanced_cross_entropy, class_weights
from raypipe.ssl.smoothing import SmoothingForm, smoothed

Schedule = Literal["cosine", "constant"]
"""Course of the learning rate after the warm-up."""

_ROWS_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class HeadTraining:
    """How a head is trained; the defaults are the paper's and its published code's.

    Attributes:
        hidden: width of the projection; None for a linear map of the means.
        class_balanced: weigh labels by their effective numbers.
        learning_rate: of AdamW, after the warm-up.
        weight_decay: of AdamW.
        batch_size: clips in a step.
        epochs: passes over the training set.
        warmup_steps: over which the rate grows from 0.
        schedule: of the rate after that.
        clip_norm: largest norm of a step's gradient.
        smoothing: epsilon of the label smoothing.
        smoothing_form: see :data:`raypipe.ssl.smoothing.SmoothingForm`.
        best_epoch: keep the weights of the epoch with the lowest loss on the dev set; else the
            last ones.
    """

    hidden: int | None = 256
    class_balanced: bool = True
    learning_rate: float = 1e-4
    weight_decay: float = 0.01
    batch_size: int = 32
    epochs: int = 25
    warmup_steps: int = 1600
    schedule: Schedule = "cosine"
    clip_norm: float = 1.0
    smoothing: float = 0.05
    smoothing_form: SmoothingForm = "emo_superb"
    best_epoch: bool = True


@dataclass(frozen=True, slots=True)
class Examples:
    """Clips to learn from or to be measured on.

    Attributes:
        features: layer means, shape ``(clips, layers, width)``, float32.
        labels: soft labels, shape ``(clips, labels)``, not smoothed.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TrainedHead:
    """A head and how it came about.

    Attributes:
        weights: of :class:`raypipe.ssl.head.SuperbHead`, by name.
        hidden: width of the projection; None without.
        best_epoch: whose weights these are, from 1.
        train_losses: mean loss over the steps of every epoch.
        dev_losses: loss on the dev set after every epoch, of its clips, not of its batches.
        class_weights: shape ``(labels,)``.
        layer_weights: share of every layer, shape ``(layers,)``.
    """

    weights: Mapping[str, NDArray[np.float32]]
    hidden: int | None
    best_epoch: int
    train_losses: tuple[float, ...]
    dev_losses: tuple[float, ...]
    class_weights: NDArray[np.float64]
    layer_weights: NDArray[np.float64]

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Distributions, shape ``(clips, labels)``, rows sum to 1.

        Args:
            features: shape ``(clips, layers, width)``.
        """
        label_count = len(self.class_weights)
        head = SuperbHead(features.shape[1], features.shape[2], label_count, self.hidden)
        head.load_state_dict({name: torch.from_numpy(v) for name, v in self.weights.items()})
        with torch.inference_mode():
            parts = [head(rows).double().softmax(1).numpy() for rows in _chunks(features)]
        return np.concatenate([np.zeros((0, label_count)), *parts])


def rate_at(step: int, steps: int, settings: HeadTraining) -> float:
    """Learning rate of a step, as transformers' cosine schedule with warm-up has it.

    Args:
        step: from 0, whose rate is 0 where there is a warm-up.
        steps: of the whole training.
        settings: its rate, warm-up and schedule.

    Example:
        >>> settings = HeadTraining(learning_rate=1.0, warmup_steps=2)
        >>> [round(rate_at(step, 6, settings), 3) for step in range(6)]
        [0.0, 0.5, 1.0, 0.854, 0.5, 0.146]
    """
    warmup = settings.warmup_steps
    if step < warmup:
        return settings.learning_rate * step / warmup
    if settings.schedule == "constant":
        return settings.learning_rate
    done = (step - warmup) / max(1, steps - warmup)
    return settings.learning_rate * max(0.0, 0.5 * (1 + math.cos(math.pi * done)))


def train_head(train: Examples, dev: Examples, settings: HeadTraining, seed: int) -> TrainedHead:
    """A head, trained; the same seed gives the same weights.

    Args:
        train: learned from.
        dev: whose loss decides the epoch.
        settings: how.
        seed: of the first weights and of the order of the clips.

    Raises:
        ConfigError: without clips to learn from, or to decide by.
    """
    if not len(train.labels) or not len(dev.labels):
        raise ConfigError(
            f"a head needs labelled clips: {len(train.labels)} to train, {len(dev.labels)} dev"
        )
    label_count = train.labels.shape[1]
    _, layers, width = train.features.shape
    weights = class_weights(train.labels) if settings.class_balanced else np.ones(label_count)
    balance = torch.tensor(weights, dtype=torch.float32)
    targets, dev_targets = (
        torch.tensor(
            smoothed(part.labels, settings.smoothing, settings.smoothing_form),
            dtype=torch.float32,
        )
        for part in (train, dev)
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = SuperbHead(layers, width, label_count, settings.hidden)
    optimizer = torch.optim.AdamW(
        head.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    order = np.random.default_rng(seed)
    count = len(targets)
    steps = settings.epochs * math.ceil(count / settings.batch_size)
    step, train_losses, dev_losses = 0, [], []
    best: tuple[float, int, dict[str, NDArray[np.float32]]] | None = None
    for epoch in range(1, settings.epochs + 1):
        rows = order.permutation(count)
        losses = []
        for begin in range(0, count, settings.batch_size):
            batch = rows[begin : begin + settings.batch_size]
            for group in optimizer.param_groups:
                group["lr"] = rate_at(step, steps, settings)
            logits = head(torch.from_numpy(train.features[batch]))
            loss = balanced_cross_entropy(logits, targets[batch], balance)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch's own
            torch.nn.utils.clip_grad_norm_(head.parameters(), settings.clip_norm)
            optimizer.step()
            losses.append(float(loss.detach()))
            step += 1
        train_losses.append(float(np.mean(losses)))
        with torch.inference_mode():
            logits = torch.cat([head(part) for part in _chunks(dev.features)])
            dev_loss = float(balanced_cross_entropy(logits, dev_targets, balance))
        dev_losses.append(dev_loss)
        if best is None or not settings.best_epoch or dev_loss < best[0]:
            best = dev_loss, epoch, {k: v.numpy().copy() for k, v in head.state_dict().items()}
    assert best is not None  # there is an epoch
    _, best_epoch, kept = best
    layer_logits = kept["layer_logits"].astype(np.float64)
    shares = np.exp(layer_logits - layer_logits.max())
    return TrainedHead(
        weights=kept,
        hidden=settings.hidden,
        best_epoch=best_epoch,
        train_losses=tuple(train_losses),
        dev_losses=tuple(dev_losses),
        class_weights=weights,
        layer_weights=shares / shares.sum(),
    )


def _chunks(features: NDArray[np.float32]) -> list[torch.Tensor]:
    starts = range(0, len(features), _ROWS_AT_ONCE)
    return [torch.from_numpy(features[at : at + _ROWS_AT_ONCE].copy()) for at in starts]
