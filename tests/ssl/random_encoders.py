"""Small random checkpoints of every encoder family, in the hub's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}
FRONT_END: dict[str, Any] = {
    "conv_dim": (16,) * 7,
    "num_feat_extract_layers": 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
GROUP_NORM = {"feat_extract_norm": "group", "do_stable_layer_norm": False, "conv_bias": False}
LAYER_NORM = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
WHISPER: dict[str, Any] = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "num_mel_bins": 80,
    "vocab_size": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}

MADE = {
    "wavlm-base": ("WavLMModel", "WavLMConfig", SMALL | FRONT_END | GROUP_NORM, False),
    "wavlm-large": ("WavLMModel", "WavLMConfig", SMALL | FRONT_END | LAYER_NORM, True),
    "hubert-base": ("HubertModel", "HubertConfig", SMALL | FRONT_END | GROUP_NORM, True),
    "hubert-large": ("HubertModel", "HubertConfig", SMALL | FRONT_END | LAYER_NORM, True),
    "wav2vec2-base": ("Wav2Vec2Model", "Wav2Vec2Config", SMALL | FRONT_END | GROUP_NORM, True),
    "wav2vec2-robust": ("Wav2Vec2Model", "Wav2Vec2Config", SMALL | FRONT_END | LAYER_NORM, True),
    "unispeech-sat-base": (
        "UniSpeechSatModel",
        "UniSpeechSatConfig",
        SMALL | FRONT_END | GROUP_NORM,
        False,
    ),
    "unispeech-sat-large": (
        "UniSpeechSatModel",
        "UniSpeechSatConfig",
        SMALL | FRONT_END | LAYER_NORM,
        True,
    ),
    "data2vec-audio": (
        "Data2VecAudioModel",
        "Data2VecAudioConfig",
        SMALL | FRONT_END | {"num_conv_pos_embeddings": 5, "conv_pos_kernel_size": 9},
        True,
    ),
    "w2v-bert": ("Wav2Vec2BertModel", "Wav2Vec2BertConfig", SMALL, None),
    "whisper": ("WhisperModel", "WhisperConfig", WHISPER, None),
}
"""Per checkpoint: class, config, its settings, and whether its preprocessor normalises."""


def save_encoder(name: str, folder: Path) -> Path:
    model_class, config_class, settings, normalises = MADE[name]
    torch.manual_seed(sum(map(ord, name)))
    config = getattr(transformers, config_class)(**settings)
    model = getattr(transformers, model_class)(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # fresh weights are so small that layers are alike
            if parameter.ndim > 1:
                parameter.mul_(2.0)
    place = folder / name
    model.save_pretrained(place)
    if name == "whisper":
        transformers.WhisperFeatureExtractor(feature_size=80).save_pretrained(place)
    elif name == "w2v-bert":
        transformers.SeamlessM4TFeatureExtractor().save_pretrained(place)
    else:
        transformers.Wav2Vec2FeatureExtractor(do_normalize=normalises).save_pretrained(place)
    return place
