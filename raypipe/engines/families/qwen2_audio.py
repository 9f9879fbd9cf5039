"""Qwen2-Audio, the family of the bundled tiny-alm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from raypipe.engines.families.family import EQUALS_GENERATE, ClipLimits, Family, VllmSupport
from raypipe.engines.input_builders import WindowInputBuilder
from raypipe.engines.model_input import InputLimits, audio_token_count, encoder_frame_count
from raypipe.engines.published import Published
from raypipe.records import ModelInput

if TYPE_CHECKING:
    from torch import Tensor


def encode_in_vllm(model: Any, model_input: ModelInput) -> Tensor:
    """A clip's embeddings by vLLM's ``Qwen2AudioForConditionalGeneration``.

    vLLM itself would pad every clip to the whole window of 30 s; the encoder is transformers'.
    """
    import torch
    from torch.nn.functional import gelu

    tower = model.audio_tower
    width = encoder_frame_count(model_input.feature_frames)
    # One more encoder frame than is kept: the last kept one must not see the convolution's own
    # zero padding where the full window has features.
    frames = min(2 * width + 2, 2 * tower.max_source_positions)
    features = np.zeros((1, tower.num_mel_bins, frames), dtype=np.float32)
    kept = min(model_input.features.shape[1], frames)
    features[0, :, :kept] = model_input.features[:, :kept]
    weight = tower.conv1.weight
    hidden = torch.from_numpy(features).to(weight.device, weight.dtype)
    hidden = gelu(tower.conv2(gelu(tower.conv1(hidden)))).permute(0, 2, 1)[:, :width]
    hidden = hidden + tower.embed_positions.weight[:width]
    for layer in tower.layers:
        hidden = layer(hidden, None)
    pooled = tower.avg_pooler(hidden.permute(0, 2, 1)).permute(0, 2, 1)
    projected: Tensor = model.multi_modal_projector(tower.layer_norm(pooled))
    return projected[0, : audio_token_count(model_input.feature_frames)]


# As ``eval_audio/evaluate_emotion.py`` of QwenLM/Qwen2-Audio puts it before the question.
_PLAIN_CLIP = "<|audio_bos|><|AUDIO|><|audio_eos|>"

FAMILY = Family(
    name="Qwen2-Audio",
    architecture="Qwen2AudioForConditionalGeneration",
    processor="Qwen2AudioProcessor",
    input_builder=WindowInputBuilder,
    clips=ClipLimits(
        longest_s=30.0, longest_by_checkpoint=True, reason="the window of its feature extractor"
    ),
    plain_clip=_PLAIN_CLIP,
    adapter="raypipe.engines.qwen2_audio:Qwen2AudioAdapter",
    plain_fallback=False,
    vllm=VllmSupport(encode=encode_in_vllm, limits=InputLimits.of),
    verified=f"{EQUALS_GENERATE}; so does the bundled tiny-alm",
    published=tuple(
        Published(
            name=name,
            parameters=8.397,
            weights_gb=16.79,
            dtype="bfloat16",
            licence="apache-2.0",
            gated=False,
            source="its file list on the hub; counted on a model of its published config",
        )
        for name in ("Qwen/Qwen2-Audio-7B", "Qwen/Qwen2-Audio-7B-Instruct")
    ),
)
