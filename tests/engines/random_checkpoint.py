"""Seeded random checkpoints: a real architecture, tokenizer and processor, no training.

The next-token law is made peaky and dependent on what was heard, and the end tokens reachable, so
that hypotheses differ between clips and end at varied lengths.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AudioFlamingo3Config,
    AudioFlamingo3ForConditionalGeneration,
    AudioFlamingo3Processor,
    GenerationConfig,
    PreTrainedTokenizerFast,
    Qwen2AudioConfig,
    Qwen2AudioForConditionalGeneration,
    Qwen2AudioProcessor,
    WhisperFeatureExtractor,
)

SPECIAL_TOKENS = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|audio_bos|>",
    "<|AUDIO|>",
    "<|audio_eos|>",
    "<sound>",
]
FLAMINGO_TURNS = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in "
    "message['content'] %}{% if part['type'] == 'audio' %}<sound>{% else %}{{ part['text'] }}"
    "{% endif %}{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}"
    "<|im_start|>assistant\n{% endif %}"
)
EMOTIONS = ["anger", "angry", "disgust", "fear", "happiness", "happy", "neutral", "sad", "sadness"]
SENTENCES = [
    "The speaker sounds {a} and a little {b}.",
    'Answer with one JSON object: {{"{a}": 0.{i}, "{b}": 0.{j}}}',
    "Listen to tone, intonation, pauses and energy; then to the words. {a}: {i}{j}%",
    "system\nYou are a helpful assistant. user\nAudio 1: \nassistant\n {A} or {b}?",
]
SYLLABLES = ["ba", "den", "fi", "gor", "lu", "mar", "nel", "po", "quin", "ras", "shu", "tiv"]


@dataclass(frozen=True)
class Shape:
    """Size and temper of a random model."""

    family: str = "qwen2_audio"
    seed: int = 1
    hidden: int = 128
    layers: int = 2
    heads: int = 4
    key_heads: int = 4
    audio_width: int = 64
    audio_layers: int = 2
    vocabulary: int = 1000
    unwritable_tokens: int = 0
    """Further ids that only make the vocabulary larger; they decode to nothing."""
    window_s: int = 30
    end_tokens: tuple[str, ...] = ("<|im_end|>",)
    end_gain: float = 2.2
    sharpness: float = 2.5


def train_tokenizer(
    vocabulary: int, named: Mapping[str, str] | None = None
) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with Qwen2-Audio's special tokens.

    Args:
        vocabulary: number of tokens, special ones included.
        named: further special tokens, by the attribute that leads to each.
    """
    named = named or {}
    special = list(dict.fromkeys([*SPECIAL_TOKENS, *named.values()]))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(special),
        min_frequency=1,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    answers = [
        sentence.format(a=a, b=b, A=a.capitalize(), i=i, j=j)
        for i, a in enumerate(EMOTIONS)
        for j, b in enumerate(EMOTIONS)
        for sentence in SENTENCES
    ]
    words = (" " + "".join(parts) for parts in itertools.product(SYLLABLES, repeat=3))
    tokenizer.train_from_iterator([*answers, *words], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=special,
        model_max_length=8192,
        padding_side="left",
        **named,
    )


def save_checkpoint(folder: Path, shape: Shape) -> None:
    """Write model, generation config, tokenizer and processor to ``folder``."""
    tokenizer = train_tokenizer(shape.vocabulary)
    extractor = WhisperFeatureExtractor(feature_size=128, chunk_length=shape.window_s)
    if shape.family == "qwen2_audio":
        processor = Qwen2AudioProcessor(feature_extractor=extractor, tokenizer=tokenizer)
    else:
        processor = AudioFlamingo3Processor(extractor, tokenizer, chat_template=FLAMINGO_TURNS)
    model = _random_model(tokenizer, shape)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    _use_published_names(folder / "model.safetensors")


def save_sharded(folder: Path, shape: Shape, device: str, shard_size: str) -> None:
    """Write a checkpoint in bfloat16, in several files, its model made on ``device``."""
    tokenizer = train_tokenizer(shape.vocabulary)
    extractor = WhisperFeatureExtractor(feature_size=128, chunk_length=shape.window_s)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            model = _random_model(tokenizer, shape)
    finally:
        torch.set_default_dtype(before)
    model.save_pretrained(folder, max_shard_size=shard_size)
    Qwen2AudioProcessor(feature_extractor=extractor, tokenizer=tokenizer).save_pretrained(folder)


def _use_published_names(file: Path) -> None:
    """Name the weights as published checkpoints do; transformers reads both, vLLM only these."""
    weights = {
        name.replace("language_model.model.model.", "language_model.model."): weight
        for name, weight in load_file(file).items()
    }
    save_file(weights, file, metadata={"format": "pt"})


def _random_model(tokenizer: PreTrainedTokenizerFast, shape: Shape) -> torch.nn.Module:
    torch.manual_seed(shape.seed)
    end_ids = tokenizer.convert_tokens_to_ids(list(shape.end_tokens))
    text_config = {
        "model_type": "qwen2",
        "vocab_size": len(tokenizer) + shape.unwritable_tokens,
        "hidden_size": shape.hidden,
        "intermediate_size": 3 * shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.key_heads,
        "max_position_embeddings": 4096,
        "initializer_range": 0.12,
        "bos_token_id": tokenizer.pad_token_id,
        "eos_token_id": end_ids[0],
        "pad_token_id": tokenizer.pad_token_id,
    }
    audio_config = {
        "num_mel_bins": 128,
        "max_source_positions": 50 * shape.window_s,
        "initializer_range": 0.1,
    }
    if shape.family == "qwen2_audio":
        audio_id = tokenizer.convert_tokens_to_ids("<|AUDIO|>")
        audio_config |= {
            "model_type": "qwen2_audio_encoder",
            "d_model": shape.audio_width,
            "encoder_layers": shape.audio_layers,
            "encoder_attention_heads": shape.audio_width // 32,
            "encoder_ffn_dim": 4 * shape.audio_width,
        }
        config = Qwen2AudioConfig(
            architectures=["Qwen2AudioForConditionalGeneration"],
            audio_token_index=audio_id,
            audio_config=audio_config,
            text_config=text_config,
        )
        model = Qwen2AudioForConditionalGeneration(config).eval()
    else:
        audio_id = tokenizer.convert_tokens_to_ids("<sound>")
        audio_config |= {
            "model_type": "audioflamingo3_encoder",
            "hidden_size": shape.audio_width,
            "num_hidden_layers": shape.audio_layers,
            "num_attention_heads": shape.audio_width // 32,
            "intermediate_size": 4 * shape.audio_width,
        }
        config = AudioFlamingo3Config(
            architectures=["AudioFlamingo3ForConditionalGeneration"],
            audio_token_id=audio_id,
            audio_config=audio_config,
            text_config=text_config,
        )
        model = AudioFlamingo3ForConditionalGeneration(config).eval()
    with torch.no_grad():
        model.model.audio_tower.embed_positions.weight.copy_(
            _sinusoids(50 * shape.window_s, shape.audio_width)
        )
        for layer in model.model.multi_modal_projector.modules():
            if isinstance(layer, torch.nn.Linear):
                layer.weight.mul_(3)
        head = model.lm_head.weight
        head.mul_(shape.sharpness)
        head[[audio_id, tokenizer.pad_token_id]] = 0.0
        head[end_ids] = torch.randn(len(end_ids), shape.hidden) * shape.end_gain * head.std()
    model.generation_config = GenerationConfig(
        eos_token_id=list(end_ids), pad_token_id=tokenizer.pad_token_id, do_sample=False
    )
    return model


def _sinusoids(positions: int, width: int) -> torch.Tensor:
    rates = torch.exp(-math.log(10000) / (width // 2 - 1) * torch.arange(width // 2))
    angles = torch.arange(positions)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)


def sounds(durations_s: list[float], seed: int) -> list[np.ndarray]:
    """Clips of a few modulated partials and noise, float32 at 16 kHz."""
    random = np.random.default_rng(seed)
    clips = []
    for duration_s in durations_s:
        time = np.arange(round(duration_s * 16000)) / 16000
        clip = 0.01 * random.standard_normal(len(time))
        for _ in range(6):
            amplitude, frequency = random.uniform(0.02, 0.2), random.uniform(80, 3500)
            clip += amplitude * np.sin(2 * np.pi * frequency * time + random.uniform(0, 6))
        clip *= 0.6 + 0.4 * np.sin(2 * np.pi * random.uniform(1, 5) * time)
        clips.append(clip.astype(np.float32))
    return clips
