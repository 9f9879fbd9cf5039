"""A clip through the audio encoder that vLLM has loaded, on its real frames only.

vLLM itself would pad every clip to the model's whole window of 30 s. Its encoder is transformers'
module, and it takes audio that is already encoded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import gelu

from raypipe.engines.model_input import audio_token_count, encoder_frame_count
from raypipe.records import ModelInput


def encode(model: Any, one: ModelInput) -> Tensor:
    """What stands in the place of a clip's audio tokens.

    Args:
        model: vLLM's ``Qwen2AudioForConditionalGeneration``.
        one: an input that fits it.

    Returns:
        Embeddings, shape ``(audio tokens, hidden)``, in the model's arithmetic.
    """
    tower = model.audio_tower
    width = encoder_frame_count(one.feature_frames)
    # One more encoder frame than is kept: the last kept one must not see the convolution's own
    # zero padding where the full window has features.
    frames = min(2 * width + 2, 2 * tower.max_source_positions)
    features = np.zeros((1, tower.num_mel_bins, frames), dtype=np.float32)
    kept = min(one.features.shape[1], frames)
    features[0, :, :kept] = one.features[:, :kept]
    weight = tower.conv1.weight
    with torch.inference_mode():
        hidden = torch.from_numpy(features).to(weight.device, weight.dtype)
        hidden = gelu(tower.conv2(gelu(tower.conv1(hidden)))).permute(0, 2, 1)[:, :width]
        hidden = hidden + tower.embed_positions.weight[:width]
        for layer in tower.layers:
            hidden = layer(hidden, None)
        pooled = tower.avg_pooler(hidden.permute(0, 2, 1)).permute(0, 2, 1)
        projected: Tensor = model.multi_modal_projector(tower.layer_norm(pooled))
    return projected[0, : audio_token_count(one.feature_frames)]
