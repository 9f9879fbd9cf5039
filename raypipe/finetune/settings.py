"""Settings of a fine-tuning, and the presets that are named sets of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, field_validator

from raypipe.config.base import ConfigSection

Projection = Literal["q", "k", "v", "o"]
PresetName = Literal["paper", "tiny-alm"]


class LoraSettings(ConfigSection):
    """Which matrices get low-rank updates, and of which size.

    Attributes:
        rank: r, columns of A^T and B.
        alpha: the update is ``alpha / rank * B A``.
        dropout: share of an update's inputs that are left out while training.
        projections: of the language model's self-attention.
        head: the language model's head as well, as a LoRA and not as a copy.
        audio_tower: the same projections of the encoder of clips as well.
    """

    rank: int = Field(default=8, ge=1)
    alpha: int = Field(default=16, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    projections: tuple[Projection, ...] = ("q", "k", "v", "o")
    head: bool = True
    audio_tower: bool = False

    @field_validator("projections")
    @classmethod
    def _each_once(cls, projections: tuple[Projection, ...]) -> tuple[Projection, ...]:
        if len(set(projections)) != len(projections):
            raise ValueError("name each projection once")
        return projections


class FinetuneTraining(ConfigSection):
    """How the updates are learnt.

    Attributes:
        learning_rate: the highest, after the warm-up.
        warmup_share: share of all steps over which the rate grows from 0.
        weight_decay: of AdamW, on the LoRA matrices; nothing else is trained.
        clip_norm: largest norm of a step's gradient.
        epochs: passes over the training examples; early stopping may end sooner.
        batch_size: examples that a worker reads together.
        accumulation: such batches of every worker in one step.
        cutoff: most tokens of a prompt, audio included, with its answer; the rest of the answer
            is cut off and counted.
        evaluations_per_epoch: how often the development loss is measured.
        patience: evaluations without a lower development loss after which training stops; None
            goes on to the end. The best adapter is kept in either case.
        checkpoint_steps: steps between two checkpoints; every evaluation makes one, too.
        gradient_checkpointing: compute the layers twice and keep less in memory.
        seed: of the first LoRA matrices, the order of the examples and the dropout.
    """

    learning_rate: float = Field(default=1e-5, gt=0)
    warmup_share: float = Field(default=0.1, ge=0, lt=1)
    weight_decay: float = Field(default=0.01, ge=0)
    clip_norm: float = Field(default=1.0, gt=0)
    epochs: int = Field(default=2, ge=1)
    batch_size: int = Field(default=1, ge=1)
    accumulation: int = Field(default=8, ge=1)
    cutoff: int = Field(default=2048, ge=2)
    evaluations_per_epoch: int = Field(default=2, ge=1)
    patience: int | None = Field(default=3, ge=1)
    checkpoint_steps: int = Field(default=100, ge=1)
    gradient_checkpointing: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Preset:
    """Settings under a name; the fields of a config replace its values one by one."""

    lora: LoraSettings
    training: FinetuneTraining


PRESETS: Mapping[PresetName, Preset] = {
    # explainable_speechlm, Section 3.1; it names no weight decay and no patience.
    "paper": Preset(LoraSettings(), FinetuneTraining()),
    # A model of two million weights moves little at 1e-5.
    "tiny-alm": Preset(
        LoraSettings(rank=16, alpha=32),
        FinetuneTraining(
            learning_rate=3e-3, epochs=8, batch_size=8, accumulation=1, evaluations_per_epoch=1
        ),
    ),
}


def rate_at(step: int, steps: int, training: FinetuneTraining) -> float:
    """Learning rate of a step, as transformers' cosine schedule with warm-up has it.

    Args:
        step: from 0, whose rate is 0 where there is a warm-up.
        steps: of the whole training.
        training: its highest rate and its warm-up.

    Example:
        >>> training = FinetuneTraining(learning_rate=1.0, warmup_share=0.2)
        >>> [round(rate_at(step, 10, training), 2) for step in (0, 1, 2, 6, 9)]
        [0.0, 0.5, 1.0, 0.5, 0.04]
    """
    warmup = math.ceil(training.warmup_share * steps)
    if step < warmup:
        return training.learning_rate * step / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return training.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
