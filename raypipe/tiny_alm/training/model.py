"""The bundled model on disk: building it fresh, saving it in the hub's layout, loading it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import (
    GenerationConfig,
    PreTrainedTokenizerFast,
    Qwen2AudioConfig,
    Qwen2AudioForConditionalGeneration,
    Qwen2AudioProcessor,
    WhisperFeatureExtractor,
)

from raypipe.tiny_alm.training.tokenizer import train_tokenizer

WINDOW_S = 30
"""Window of the processor and the encoder: vLLM's Qwen2-Audio takes no other."""
TRAINED_S = 8
"""Longest clip in the training data. The checkpoint's config states it as the longest clip to
accept, because the encoder's positions beyond it are untrained."""
MEL_BINS = 128
HEAD_SIZE = 64
AUDIO_WIDTH = 192
AUDIO_LAYERS = 4
TEXT_WIDTH = 192
TEXT_LAYERS = 3
# vLLM pads the vocabulary to a multiple of 64; doing it here keeps both back ends' shapes equal.
VOCABULARY_MULTIPLE = 64


def build_processor(tokenizer: PreTrainedTokenizerFast | None = None) -> Qwen2AudioProcessor:
    """Tokenizer, log-mel extractor (30 s window) and Qwen2-Audio's own chat template.

    Args:
        tokenizer: None for a newly trained one.
    """
    extractor = WhisperFeatureExtractor(
        feature_size=MEL_BINS, sampling_rate=16_000, chunk_length=WINDOW_S
    )
    return Qwen2AudioProcessor(
        feature_extractor=extractor, tokenizer=tokenizer or train_tokenizer()
    )


def build_model(processor: Qwen2AudioProcessor) -> Qwen2AudioForConditionalGeneration:
    """An untrained Qwen2-Audio of a few million parameters, initialised from torch's seed."""
    tokenizer = processor.tokenizer
    start = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    vocabulary = -(-len(tokenizer) // VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE
    config = Qwen2AudioConfig(
        architectures=["Qwen2AudioForConditionalGeneration"],
        audio_config={
            "model_type": "qwen2_audio_encoder",
            "num_mel_bins": MEL_BINS,
            "encoder_layers": AUDIO_LAYERS,
            "encoder_attention_heads": AUDIO_WIDTH // HEAD_SIZE,
            "encoder_ffn_dim": 4 * AUDIO_WIDTH,
            "d_model": AUDIO_WIDTH,
            "max_source_positions": 50 * WINDOW_S,
        },
        text_config={
            "model_type": "qwen2",
            "vocab_size": vocabulary,
            "hidden_size": TEXT_WIDTH,
            "intermediate_size": 3 * TEXT_WIDTH,
            "num_hidden_layers": TEXT_LAYERS,
            "num_attention_heads": TEXT_WIDTH // HEAD_SIZE,
            "num_key_value_heads": TEXT_WIDTH // HEAD_SIZE,
            "max_position_embeddings": 2048,
            "rms_norm_eps": 1e-6,
            "tie_word_embeddings": False,
            "use_sliding_window": False,
            "bos_token_id": start,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        audio_token_index=tokenizer.convert_tokens_to_ids("<|AUDIO|>"),
        tie_word_embeddings=False,
        max_audio_duration_s=float(TRAINED_S),
    )
    model = Qwen2AudioForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        bos_token_id=start,
        eos_token_id=[tokenizer.eos_token_id],
        pad_token_id=tokenizer.pad_token_id,
        do_sample=False,
    )
    return model


def save_checkpoint(
    model: Qwen2AudioForConditionalGeneration, processor: Qwen2AudioProcessor, folder: Path
) -> None:
    """Write a float16 checkpoint that transformers and vLLM both load."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    weights = folder / "model.safetensors"
    # transformers 5.19 nests the text model once more than the hub's layout, which vLLM's loader
    # expects; transformers reads either.
    renamed = {
        name.replace("language_model.model.model.", "language_model.model."): tensor.to(
            torch.float16
        )
        for name, tensor in load_file(weights).items()
    }
    save_file(renamed, weights, metadata={"format": "pt"})
    _declare_float16(folder / "config.json")


def _declare_float16(path: Path) -> None:
    """Write float16 as the dtype into a config and its nested parts."""
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for part in (config, config["audio_config"], config["text_config"]):
        part["dtype"] = "float16"
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def load_checkpoint(
    folder: Path,
) -> tuple[Qwen2AudioForConditionalGeneration, Qwen2AudioProcessor]:
    """Load model (float32, ready to answer) and processor from a local folder."""
    model = Qwen2AudioForConditionalGeneration.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True
    )
    processor = Qwen2AudioProcessor.from_pretrained(folder, local_files_only=True)
    return model.eval(), processor
