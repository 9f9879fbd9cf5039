"""A clip through the audio encoder that vLLM has loaded, on its real frames only.

vLLM takes audio that is already encoded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import gelu

from raypipe.engines.model_input import (
    audio_token_count,
    encoder_frame_count,
    stacked_token_count,
)
from raypipe.records import ModelInput


def encode(model: Any, one: ModelInput) -> Tensor:
    """What stands in the place of a clip's audio tokens.

    Args:
        model: vLLM's ``Qwen2AudioForConditionalGeneration`` or ``UltravoxModel``.
        one: an input that fits it.

    Returns:
        Embeddings, shape ``(audio tokens, hidden)``, in the model's arithmetic.
    """
    with torch.inference_mode():
        return _ENCODERS[type(model).__name__](model, one)


def take_encoded(model: Any) -> None:
    """Make vLLM's model take a clip that :func:`encode` has encoded.

    vLLM 0.32's ``UltravoxModel`` wants an axis too many of such a clip, which vLLM then refuses.
    """
    if type(model).__name__ == "UltravoxModel":
        model.embed_multimodal = lambda audio_embeds: tuple(audio_embeds)


def _qwen2_audio(model: Any, one: ModelInput) -> Tensor:
    # vLLM itself would pad every clip to the whole window of 30 s; the encoder is transformers'.
    tower = model.audio_tower
    width = encoder_frame_count(one.feature_frames)
    # One more encoder frame than is kept: the last kept one must not see the convolution's own
    # zero padding where the full window has features.
    frames = min(2 * width + 2, 2 * tower.max_source_positions)
    features = np.zeros((1, tower.num_mel_bins, frames), dtype=np.float32)
    kept = min(one.features.shape[1], frames)
    features[0, :, :kept] = one.features[:, :kept]
    weight = tower.conv1.weight
    hidden = torch.from_numpy(features).to(weight.device, weight.dtype)
    hidden = gelu(tower.conv2(gelu(tower.conv1(hidden)))).permute(0, 2, 1)[:, :width]
    hidden = hidden + tower.embed_positions.weight[:width]
    for layer in tower.layers:
        hidden = layer(hidden, None)
    pooled = tower.avg_pooler(hidden.permute(0, 2, 1)).permute(0, 2, 1)
    projected: Tensor = model.multi_modal_projector(tower.layer_norm(pooled))
    return projected[0, : audio_token_count(one.feature_frames)]


def _ultravox(model: Any, one: ModelInput) -> Tensor:
    # One clip at a time: the projector's last stack would reach into the padding of a batch.
    device = model.audio_tower.conv1.weight.device
    tokens = stacked_token_count(one.feature_frames, model.config.stack_factor)
    encoded: tuple[Tensor] = type(model).embed_multimodal(
        model,
        audio_features=torch.from_numpy(one.features[None]).to(device),
        audio_lens=torch.tensor([one.feature_frames]),
        audio_token_len=torch.tensor([tokens], device=device),
        audio_num_chunks=torch.tensor([1]),
    )
    return encoded[0]


_ENCODERS: Mapping[str, Callable[[Any, ModelInput], Tensor]] = {
    "Qwen2AudioForConditionalGeneration": _qwen2_audio,
    "UltravoxModel": _ultravox,
}
"""By vLLM's name of the model."""
