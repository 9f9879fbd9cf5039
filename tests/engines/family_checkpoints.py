"""How a random checkpoint of each family is made."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import torch
import transformers
from checkpoint_parts import QWEN_TURNS, ROLES, TEXT, common_ids, finish, save_omni, save_text
from random_checkpoint import train_tokenizer
from transformers import WhisperFeatureExtractor


def save_voxtral(folder: Path) -> None:
    """Voxtral: the first tokens of a published vocabulary, the control tokens of its version."""
    import mistral_common
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer

    packaged = Path(mistral_common.__file__).parent / "data" / "tekken_240911.json"
    source = json.loads(packaged.read_text(encoding="utf-8"))
    control = [dict(token) for token in Tekkenizer.DEPRECATED_SPECIAL_TOKENS]
    control += [
        {"rank": rank, "token_str": f"<SPECIAL_{rank}>", "is_control": True}
        for rank in range(len(control), 40)
    ]
    for rank, token in {24: "[AUDIO]", 25: "[BEGIN_AUDIO]", 34: "[TRANSCRIBE]"}.items():
        control[rank]["token_str"] = token
    spectrogram = {"num_mel_bins": 128, "hop_length": 160, "window_size": 400}
    tekken = {
        "config": source["config"]
        | {"version": "v7", "default_num_special_tokens": 40, "default_vocab_size": 940},
        "vocab": source["vocab"][:900],
        "special_tokens": control,
        "audio": {
            "sampling_rate": 16_000,
            "frame_rate": 12.5,
            "audio_encoding_config": spectrogram,
            "chunk_length_s": 30.0,
        },
    }
    (folder / "tekken.json").write_text(json.dumps(tekken), encoding="utf-8")
    WhisperFeatureExtractor(feature_size=128).save_pretrained(folder)
    torch.manual_seed(5)
    # As published: the projector takes four encoder frames at once.
    audio = {
        "hidden_size": 64,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "initializer_range": 0.1,
    }
    text = TEXT | {"vocab_size": 940, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 11}
    config = transformers.VoxtralConfig(
        audio_config=audio,
        text_config=text | {"head_dim": 16},
        audio_token_id=24,
        architectures=["VoxtralForConditionalGeneration"],
    )
    model = transformers.VoxtralForConditionalGeneration(config)
    with torch.no_grad():
        model.model.audio_tower.conv1.weight.mul_(4)
        model.model.multi_modal_projector.linear_1.weight.mul_(4)
    finish(folder, model, SimpleNamespace(eos_token_id=2, pad_token_id=11), list(range(40)))


def save_granite(folder: Path) -> None:
    """Granite-Speech with the adapter that listens."""
    tokenizer = train_tokenizer(1000, named={"audio_token": "<|audio|>"})
    tokenizer.chat_template = ROLES
    tokenizer.save_pretrained(folder)
    transformers.GraniteSpeechFeatureExtractor().save_pretrained(folder)
    torch.manual_seed(8)
    audio_id = tokenizer.convert_tokens_to_ids("<|audio|>")
    config = transformers.GraniteSpeechConfig(
        text_config=TEXT
        | common_ids(tokenizer)
        | {"tie_word_embeddings": False, "logits_scaling": 8.0},
        encoder_config={"num_layers": 2, "hidden_dim": 64, "num_heads": 2, "max_pos_emb": 256},
        projector_config={
            "hidden_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 128,
            "encoder_hidden_size": 64,
        },
        audio_token_index=audio_id,
        tie_word_embeddings=False,
        architectures=["GraniteSpeechForConditionalGeneration"],
    )
    model = transformers.GraniteSpeechForConditionalGeneration(config)
    with torch.no_grad():
        model.model.projector.linear.weight.mul_(20)
        model.lm_head.weight.normal_(std=1.0)
    finish(folder, model, tokenizer, [audio_id])
    save_adapter(folder, model, ["q_proj", "v_proj"])


def save_phi(folder: Path) -> None:
    """Phi-4-multimodal with the speech adapter in a folder of its own."""
    named = {"image_token": "<|image|>", "audio_token": "<|audio|>"}
    tokenizer = train_tokenizer(1000, named=named)
    tokenizer.chat_template = ROLES
    tokenizer.save_pretrained(folder)
    transformers.Phi4MultimodalFeatureExtractor().save_pretrained(folder)
    torch.manual_seed(4)
    image_id, audio_id = (tokenizer.convert_tokens_to_ids(token) for token in named.values())
    audio = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_blocks": 2,
        "num_attention_heads": 2,
        "ext_pw_out_channel": 32,
        "depthwise_separable_out_channel": 32,
        "nemo_conv_channels": 16,
        "audio_token_id": audio_id,
    }
    vision = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2}
    factors = [
        1.0 + 0.1 * i for i in range(TEXT["hidden_size"] // TEXT["num_attention_heads"] // 2)
    ]
    config = transformers.Phi4MultimodalConfig(
        **TEXT | common_ids(tokenizer),
        rope_parameters={
            "rope_type": "longrope",
            "rope_theta": 10_000.0,
            "short_factor": factors,
            "long_factor": [2 * factor for factor in factors],
        },
        original_max_position_embeddings=2048,
        audio_config=audio,
        vision_config=vision | {"num_attention_heads": 2, "image_token_id": image_id},
        architectures=["Phi4MultimodalForCausalLM"],
    )
    model = transformers.Phi4MultimodalForCausalLM(config)
    with torch.no_grad():
        model.model.embed_tokens_extend.audio_embed.up_proj_for_speech.weight.mul_(20)
        model.model.embed_tokens_extend.audio_embed.down_proj_for_speech.weight.mul_(20)
    finish(folder, model, tokenizer, [image_id, audio_id])
    save_adapter(folder / "speech-lora", model, ["qkv_proj", "o_proj"])


def save_gemma_3n(folder: Path) -> None:
    """Gemma 3n with windows, shared keys and per-layer embeddings; without its eyes."""
    named = {
        "image_token": "<image_soft_token>",
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
        "boa_token": "<start_of_audio>",
        "eoa_token": "<end_of_audio>",
        "audio_token": "<audio_soft_token>",
    }
    tokenizer = train_tokenizer(1000, named=named)
    tokenizer.chat_template = QWEN_TURNS.replace(
        "<|audio_bos|><|AUDIO|><|audio_eos|>", named["audio_token"]
    )
    tokenizer.save_pretrained(folder)
    transformers.Gemma3nAudioFeatureExtractor().save_pretrained(folder)
    torch.manual_seed(3)
    ids = {name: tokenizer.convert_tokens_to_ids(token) for name, token in named.items()}
    text = TEXT | common_ids(tokenizer) | {
        "head_dim": 16,
        "num_hidden_layers": 6,
        "layer_types": ["sliding_attention", "full_attention"] * 3,
        "num_kv_shared_layers": 2,
        "sliding_window": 16,
        "vocab_size_per_layer_input": ids["image_token"],
        "hidden_size_per_layer_input": 16,
        "laurel_rank": 8,
        "tie_word_embeddings": False,
    }  # fmt: skip
    eyes = {"vocab_offset": ids["image_token"], "vocab_size": 3, "hidden_size": 32}
    ears = {
        "vocab_offset": ids["boa_token"],
        "vocab_size": len(tokenizer) - ids["boa_token"],
        "hidden_size": 64,
        "conf_num_attention_heads": 2,
        "conf_num_hidden_layers": 2,
        "sscp_conv_channel_size": [16, 8],
    }
    config = transformers.Gemma3nConfig(
        text_config=text,
        vision_config=eyes,
        audio_config=ears,
        tie_word_embeddings=False,
        architectures=["Gemma3nForConditionalGeneration"],
        **{f"{name}_id": token_id for name, token_id in ids.items()},
    )
    with without_timm():
        model = transformers.Gemma3nForConditionalGeneration(config)
    finish(folder, model, tokenizer, list(ids.values()))


@contextmanager
def without_timm() -> Iterator[None]:
    """Leave out Gemma 3n's vision tower, whose package (timm) wants torchvision."""
    from transformers.models.gemma3n import modeling_gemma3n

    class Parts(transformers.AutoModel):
        @classmethod
        def from_config(cls, config, **settings):
            if isinstance(config, transformers.Gemma3nVisionConfig):
                return torch.nn.Module()
            return transformers.AutoModel.from_config(config, **settings)

    kept, modeling_gemma3n.AutoModel = modeling_gemma3n.AutoModel, Parts
    try:
        yield
    finally:
        modeling_gemma3n.AutoModel = kept


def save_adapter(folder: Path, model: torch.nn.Module, modules: list[str]) -> None:
    """An adapter of low rank that changes the answers, in a folder by itself or the model's."""
    from peft import LoraConfig

    model.add_adapter(LoraConfig(r=4, lora_alpha=8, target_modules=modules))
    with torch.no_grad():
        for parameter, weight in model.named_parameters():
            if "lora_B" in parameter:
                weight.copy_(torch.randn_like(weight) * 0.2)
    transformers.PreTrainedModel.save_pretrained(model, str(folder))


MAKERS: Mapping[str, Callable[[Path], None]] = {
    "Qwen2.5-Omni (thinker)": partial(save_omni, generation="2_5"),
    "Qwen3-Omni (thinker)": partial(save_omni, generation="3"),
    "Voxtral": save_voxtral,
    "Granite-Speech": save_granite,
    "Gemma 3n": save_gemma_3n,
    "Phi-4-multimodal": save_phi,
    "Qwen2, Qwen2.5 (text)": partial(save_text, architecture="Qwen2ForCausalLM"),
    "Qwen3 (text)": partial(save_text, architecture="Qwen3ForCausalLM"),
    "Llama 2, 3 (text)": partial(save_text, architecture="LlamaForCausalLM"),
    "Mistral (text)": partial(save_text, architecture="MistralForCausalLM", sliding_window=None),
    "Gemma 3 (text)": partial(
        save_text,
        architecture="Gemma3ForCausalLM",
        sliding_window=16,
        num_hidden_layers=7,
        tie_word_embeddings=False,
    ),
}
"""How a checkpoint of each family is made."""

PACKAGES: Mapping[str, tuple[str, ...]] = {
    "Voxtral": ("mistral_common",),
    "Granite-Speech": ("torchaudio", "peft"),
    "Phi-4-multimodal": ("peft",),
}
"""What a family's processor or model needs beyond what raypipe is built on."""
