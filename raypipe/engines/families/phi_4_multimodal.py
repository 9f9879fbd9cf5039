"""Phi-4-multimodal, in transformers' own layout of its checkpoints."""

from __future__ import annotations

from raypipe.engines.families.family import ClipLimits, Family
from raypipe.engines.input_builders import ProcessorInputBuilder

FAMILY = Family(
    name="Phi-4-multimodal",
    architecture="Phi4MultimodalForCausalLM",
    processor="Phi4MultimodalProcessor",
    input_builder=ProcessorInputBuilder,
    clip_place="inline",
    clips=ClipLimits(longest_s=1800.0),
    features="audio_input_features",
    decoder="plain",
    has_clip_adapter=True,
    adapter_folder="speech-lora",
    unused=("images",),
    extra="phi-4-multimodal",
    notes=("checkpoints in transformers' own layout",),
)
