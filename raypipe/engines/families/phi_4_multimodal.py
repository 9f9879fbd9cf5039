"""Phi-4-multimodal, in transformers' own layout of its checkpoints."""

from __future__ import annotations

from raypipe.engines.families.family import ClipLimits, Family
from raypipe.engines.input_builders import ProcessorInputBuilder
from raypipe.engines.published import Published

FAMILY = Family(
    name="Phi-4-multimodal",
    architecture="Phi4MultimodalForCausalLM",
    processor="Phi4MultimodalProcessor",
    input_builder=ProcessorInputBuilder,
    clip_place="inline",
    clips=ClipLimits(longest_s=1800.0, reason="raypipe's own"),
    features="audio_input_features",
    decoder="plain",
    has_clip_adapter=True,
    adapter_folder="speech-lora",
    unused=("images",),
    extra="phi-4-multimodal",
    published=(
        Published(
            name="microsoft/Phi-4-multimodal-instruct",
            parameters=5.6,
            weights_gb=12.9,
            dtype="bfloat16",
            licence="mit",
            gated=False,
            source="its card and file list on the hub; 12.9 GB is the whole repository, with the "
            "adapters for speech and images",
        ),
    ),
    notes=("checkpoints in transformers' own layout",),
)
