"""Seeded random checkpoints of further families: their real architecture, tokenizer, processor."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import transformers
from random_checkpoint import train_tokenizer
from safetensors.torch import load_file, save_file
from transformers import GenerationConfig, WhisperFeatureExtractor

QWEN_TURNS = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are a helpful assistant."
    "<|im_end|>\n{% endif %}{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'audio' %}"
    "<|audio_bos|><|AUDIO|><|audio_eos|>{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% endif %}"
)
ROLES = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}<|im_end|>"
    "{{ message['content'] }}<|endoftext|>\n{% endfor %}{% if add_generation_prompt %}"
    "<|im_start|>assistant<|im_end|>{% endif %}"
)
"""A template that knows text only, as Granite-Speech's and Phi-4-multimodal's."""
EYES = {
    "image_token": "<|IMAGE|>",
    "audio_token": "<|AUDIO|>",
    "video_token": "<|VIDEO|>",
    "vision_bos_token": "<|vision_bos|>",
    "vision_eos_token": "<|vision_eos|>",
    "audio_bos_token": "<|audio_bos|>",
    "audio_eos_token": "<|audio_eos|>",
}
TEXT = {
    "hidden_size": 96,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "initializer_range": 0.12,
}
WHISPER = {
    "num_mel_bins": 128,
    "d_model": 64,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 128,
    "max_source_positions": 1500,
    "initializer_range": 0.1,
}


def temper(model: torch.nn.Module, end_id: int, mute_ids: list[int], end_gain: float = 2.2) -> None:
    """Make the next-token law peaky, the end reachable and some tokens improbable."""
    with torch.no_grad():
        head = model.get_output_embeddings().weight
        head.mul_(2.5)
        head[mute_ids] = 0.0
        head[end_id] = torch.randn(head.shape[1]) * end_gain * head.std()


def qwen_tokenizer():
    tokenizer = train_tokenizer(1000, named=EYES)
    tokenizer.chat_template = QWEN_TURNS
    return tokenizer


def common_ids(tokenizer) -> dict[str, int]:
    return {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def finish(folder: Path, model: torch.nn.Module, tokenizer, mute: list[int], **temperament) -> None:
    """Temper, and write model and generation config to ``folder``."""
    end_id = tokenizer.eos_token_id
    temper(model.eval(), end_id, [*mute, tokenizer.pad_token_id], **temperament)
    model.generation_config = GenerationConfig(
        eos_token_id=[end_id], pad_token_id=tokenizer.pad_token_id, do_sample=False
    )
    model.save_pretrained(str(folder))


def save_omni(folder: Path, generation: str) -> None:
    """The thinker of Qwen2.5-Omni (``2_5``) or Qwen3-Omni (``3``)."""
    tokenizer = qwen_tokenizer()
    tokenizer.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=128, chunk_length=300).save_pretrained(folder)
    ids = {name: tokenizer.convert_tokens_to_ids(token) for name, token in EYES.items()}
    rope = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [4, 2, 2]}
    text = TEXT | common_ids(tokenizer) | {"rope_parameters": rope}
    eyes = {"depth": 1, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2}
    eyes |= {"out_hidden_size": TEXT["hidden_size"]}
    torch.manual_seed(int(generation[0]))
    audio = WHISPER | {"output_dim": TEXT["hidden_size"]}
    tokens = {
        "audio_start_token_id": ids["audio_bos_token"],
        "audio_end_token_id": ids["audio_eos_token"],
        "vision_start_token_id": ids["vision_bos_token"],
        "vision_end_token_id": ids["vision_eos_token"],
    }
    if generation == "2_5":
        kind, config_kind = "Qwen2_5OmniThinkerForConditionalGeneration", "Qwen2_5OmniThinkerConfig"
        tokens |= {
            f"{what}_token_index": ids[f"{what}_token"] for what in ("audio", "image", "video")
        }
        eyes["fullatt_block_indexes"] = [0]
    else:
        kind, config_kind = (
            "Qwen3OmniMoeThinkerForConditionalGeneration",
            "Qwen3OmniMoeThinkerConfig",
        )
        tokens |= {f"{what}_token_id": ids[f"{what}_token"] for what in ("audio", "image", "video")}
        rope |= {"mrope_interleaved": True}
        text |= {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 64}
        text |= {"head_dim": 16}
        audio |= {"downsample_hidden_size": 24, "n_window_infer": 400}
        eyes |= {"deepstack_visual_indexes": [0], "num_position_embeddings": 16}
    config = getattr(transformers, config_kind)(
        audio_config=audio, text_config=text, vision_config=eyes, **tokens
    )
    config.architectures = [kind]
    model = getattr(transformers, kind)(config)
    finish(folder, model, tokenizer, list(ids.values()))


def save_whole_omni(folder: Path, generation: str) -> str:
    """A thinker as it is published: one part of a model that also speaks; the family's name."""
    save_omni(folder, generation)
    thinker = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    kind = {"2_5": "Qwen2_5Omni", "3": "Qwen3OmniMoe"}[generation]
    model_type = thinker["model_type"].removesuffix("_thinker")
    whole = {
        "model_type": model_type,
        "architectures": [f"{kind}ForConditionalGeneration"],
        "thinker_config": thinker,
    }
    (folder / "config.json").write_text(json.dumps(whole), encoding="utf-8")
    # The thinker's own generation config is not published; the turn's end token ends an answer.
    (folder / "generation_config.json").unlink()
    weights = load_file(folder / "model.safetensors")
    weights = {f"thinker.{name}": weight for name, weight in weights.items()}
    weights["talker.codec_head.weight"] = torch.zeros(2, 2)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return {"2_5": "Qwen2.5-Omni (thinker)", "3": "Qwen3-Omni (thinker)"}[generation]


def save_text(folder: Path, architecture: str, **changes) -> None:
    """A text model."""
    tokenizer = qwen_tokenizer()
    tokenizer.save_pretrained(folder)
    torch.manual_seed(len(architecture))
    kind = getattr(transformers, architecture)
    text = TEXT | common_ids(tokenizer) | {"head_dim": 16} | changes
    config = kind.config_class(**text, architectures=[architecture])
    finish(folder, kind(config), tokenizer, [])
