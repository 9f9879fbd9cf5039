"""Audio Flamingo 3: Qwen2-Audio's parts under the same names, with another projector."""

from __future__ import annotations

from raypipe.engines.families.family import ClipLimits, Family
from raypipe.engines.input_builders import WindowInputBuilder
from raypipe.engines.published import Published

FAMILY = Family(
    name="Audio Flamingo 3",
    architecture="AudioFlamingo3ForConditionalGeneration",
    processor="AudioFlamingo3Processor",
    input_builder=WindowInputBuilder,
    clip_place="after",
    clips=ClipLimits(
        longest_s=600.0, encoded_in_s=30.0, reason="its processor cuts after 20 windows of 30 s"
    ),
    adapter="raypipe.engines.qwen2_audio:Qwen2AudioAdapter",
    plain_fallback=False,
    published=(
        Published(
            name="nvidia/audio-flamingo-3-hf",
            parameters=8.3,
            licence="NVIDIA OneWay Noncommercial",
            source="its card on the hub; 16.6 GB in half precision are the files of "
            "nvidia/audio-flamingo-3-chat, which is of the same architecture",
        ),
    ),
)
