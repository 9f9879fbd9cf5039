"""Small random checkpoints of s3prl's upstreams, in the layouts that their experts load."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

FBANK = {"feat_type": "fbank", "feat_dim": 80, "frame_length": 25, "frame_shift": 10}
CODES = {"codebook_size": [8], "code_dim": [16], "gumbel_temperature": 0.5}
TRANSFORMER = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "hidden_act": "gelu",
    "intermediate_size": 48,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "initializer_range": 0.2,
    "layer_norm_eps": 1e-12,
    "share_layer": False,
    "pre_layer_norm": False,
}
LOG_MEL = {"feat_type": "mel", "channel": 0, "log": True, "delta": 0, "cmvn": True}
ONLINE: dict[str, Any] = {
    "sample_rate": 16_000,
    "win_ms": 25,
    "hop_ms": 10,
    "n_freq": 201,
    "n_mels": 40,
    "n_mfcc": 13,
    "target_level": -25,
    "input": LOG_MEL,
}
KALDI = {
    "kaldi": {"feat_type": "fbank", "fbank": {"num_mel_bins": 80, "frame_length": 25.0}},
    "delta": {"order": 0, "win_length": 5},
    "cmvn": {"use_cmvn": True},
}
WAV2VEC = {
    "infonce": True,
    "conv_feature_layers": "[(16, 10, 5), (16, 8, 4), (16, 4, 2), (16, 4, 2), (16, 4, 2)]",
    "conv_aggregator_layers": "[(16, 3, 1)] + [(16, 4, 1)] * 2",
    "vq_vars": 12,
    "vq_groups": 2,
    "vq_depth": 2,
}
DECOAR2 = {
    "encoder_embed_dim": 32,
    "encoder_layers": 3,
    "encoder_ffn_embed_dim": 48,
    "encoder_attention_heads": 4,
    "conv_pos": 16,
    "conv_pos_groups": 4,
}
"""What is smaller than in s3prl, where these are constants of a module."""


def upstream(module: str) -> Any:
    return importlib.import_module(f"s3prl.upstream.{module}")


def apc(vq: dict[str, object] | None = None, **audio: object) -> dict[str, object]:
    paras = {"hidden_size": 16, "num_layers": 3, "dropout": 0.1, "residual": True, "vq": vq}
    model = upstream("apc.apc").APC(80, **paras)
    config = {"data": {"audio": {**FBANK, **audio}}, "model": {"paras": paras}}
    return {"config": config, "model": weights(model)}


def npc() -> dict[str, object]:
    paras = {
        "hidden_size": 16,
        "n_blocks": 3,
        "dropout": 0.1,
        "residual": True,
        "kernel_size": 9,
        "mask_size": 1,
        "vq": CODES,
    }
    model = upstream("npc.npc").NPC(80, **paras)
    config = {"data": {"audio": dict(FBANK)}, "model": {"paras": paras}}
    return {"config": config, "model": weights(model)}


def transformer(
    audio: dict[str, object], width: int, longest: int = 0, **settings: object
) -> dict[str, object]:
    module = upstream("mockingjay.model")
    settings = {**TRANSFORMER, **settings}
    model = module.TransformerModel(module.TransformerConfig(settings), width)
    task = {"sequence_length": longest}
    config = {"transformer": settings, "audio": audio, "task": task}
    return {"Config": config, "Transformer": weights(model)}


def decoar2() -> dict[str, object]:
    return {"model": weights(upstream("decoar2.decoar2").Decoar2())}


def cpc(**settings: object) -> dict[str, object]:
    feature_loader = upstream("cpc.feature_loader")
    config = {"hiddenEncoder": 16, "hiddenGar": 16, **settings}
    arguments = upstream("cpc.cpc_default_config").get_default_cpc_config()
    vars(arguments).update(config)
    model = upstream("cpc.model").CPCModel(
        feature_loader.getEncoder(arguments), feature_loader.getAR(arguments)
    )
    return {"config": config, "weights": weights(model)}


def wav2vec(**settings: object) -> dict[str, object]:
    module = upstream("wav2vec.wav2vec_model")
    config = {**WAV2VEC, **settings}
    model = module.Wav2VecModel(module.Wav2VecConfig(**config))
    return {
        "task_cfg": {"sample_rate": 16_000},
        "model_cfg": config,
        "model_weight": weights(model),
    }


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """A model's fresh weights, larger, so that its layers differ."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(2.0)
    return model.state_dict()


MADE: dict[str, Any] = {
    "apc": apc,
    "vq_apc": lambda: apc(CODES),
    "npc": npc,
    "mockingjay": lambda: transformer(ONLINE, 40),
    "tera": lambda: transformer(KALDI, 80, longest=60, pre_layer_norm=True),
    "decoar2": decoar2,
    "cpc": cpc,
    "wav2vec": wav2vec,
    "vq_wav2vec": lambda: wav2vec(vq_type="gumbel"),
}


def save_upstream(name: str, folder: Path, state: object = None) -> Path:
    """The folder of a checkpoint: of the upstream's own random one, or of another state."""
    torch.manual_seed(sum(map(ord, name)))
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(MADE[name]() if state is None else state, folder / "states.ckpt")
    config = {"model_type": "s3prl", "upstream": name, "checkpoint": "states.ckpt"}
    (folder / "config.json").write_text(json.dumps(config))
    return folder
