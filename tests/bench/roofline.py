"""What the engine's work needs at least: FLOPs, bytes, and the time a machine takes for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from raypipe.engines.model_input import audio_token_count, encoder_frame_count
from raypipe.records import Generation, ModelInput


@dataclass(frozen=True)
class Machine:
    """What this machine reaches, measured in this process: FLOP/s and bytes/s."""

    flops: float
    bandwidth: float


@dataclass(frozen=True)
class Work:
    """What one stage needs at least, padding, idle rows and finished lanes not counted."""

    flops: float
    bytes: float

    def seconds(self, machine: Machine) -> float:
        """The least time: the slower of arithmetic and memory."""
        return max(self.flops / machine.flops, self.bytes / machine.bandwidth)


def measure_machine(device: str, dtype: torch.dtype, now: Callable[[], float]) -> Machine:
    """The best of several matrix products and of several reads of a large tensor."""
    size, length = (8192, 1 << 30) if device != "cpu" else (1024, 1 << 26)
    matrix = torch.randn(size, size, device=device).to(dtype)
    tensor = torch.ones(length // 4, device=device)
    product = _best(lambda: matrix @ matrix, now)
    read = _best(lambda: tensor.sum(), now)
    return Machine(2 * size**3 / product, length / read)


def _best(run: Callable[[], object], now: Callable[[], float], repeats: int = 8) -> float:
    taken = []
    for _ in range(repeats):
        start = now()
        run()
        taken.append(now() - start)
    return min(taken)


class Shape:
    """Sizes of a Qwen2-Audio model that work is counted with."""

    def __init__(self, model: Any) -> None:
        text, tower = model.config.text_config, model.model.audio_tower
        self.hidden, self.layers = text.hidden_size, text.num_hidden_layers
        head = self.hidden // text.num_attention_heads
        self.value_bytes = model.lm_head.weight.element_size()
        self.key_value_bytes = 2 * self.layers * text.num_key_value_heads * head * self.value_bytes
        self.layer_weights = _weights(model.model.language_model.layers)
        self.head_weights = model.lm_head.weight.numel()
        self.width, self.audio_layers = tower.config.d_model, tower.config.encoder_layers
        self.mel_bins = tower.num_mel_bins
        self.audio_layer_weights = _weights(tower.layers)
        self.audio_weights = _weights(tower) + _weights(model.model.multi_modal_projector)
        self.projector_weights = _weights(model.model.multi_modal_projector)

    def audio(self, inputs: Sequence[ModelInput], groups: int) -> Work:
        """Encode every clip on its real frames; the weights are read once per group."""
        flops = 0.0
        for one in inputs:
            frames = encoder_frame_count(one.feature_frames)
            flops += 2 * 3 * self.width * (one.feature_frames * self.mel_bins + frames * self.width)
            flops += 2 * frames * self.audio_layer_weights
            flops += 4 * frames**2 * self.width * self.audio_layers
            flops += 2 * audio_token_count(one.feature_frames) * self.projector_weights
        return Work(flops, groups * self.audio_weights * self.value_bytes)

    def prefill(self, inputs: Sequence[ModelInput], groups: int) -> Work:
        """Read every prompt once, causally; only its last position meets the vocabulary."""
        flops = 0.0
        for one in inputs:
            tokens = len(one.token_ids)
            flops += 2 * tokens * self.layer_weights + 2 * self.head_weights
            flops += 2 * tokens**2 * self.hidden * self.layers
        weights = groups * (self.layer_weights + self.head_weights) * self.value_bytes
        written = sum(len(one.token_ids) for one in inputs) * self.key_value_bytes
        return Work(flops, weights + written)

    def decode(
        self, inputs: Sequence[ModelInput], answers: Sequence[Generation], steps: int
    ) -> Work:
        """Feed every token of every hypothesis' longest lane; weights are read once per step."""
        flops = 0.0
        read = steps * (self.layer_weights + self.head_weights) * self.value_bytes
        for one, answer in zip(inputs, answers, strict=True):
            lanes = len(answer.hypotheses)
            for step in range(1, max(len(h.token_ids) for h in answer.hypotheses)):
                context = len(one.token_ids) + step * lanes
                flops += 2 * lanes * (self.layer_weights + self.head_weights)
                flops += 4 * lanes * context * self.hidden * self.layers
                read += context * self.key_value_bytes
        return Work(flops, read)


def _weights(module: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())
