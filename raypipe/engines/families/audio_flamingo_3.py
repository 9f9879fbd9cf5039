"""Audio Flamingo 3: Qwen2-Audio's parts under the same names, with another projector."""

from __future__ import annotations

from raypipe.engines.families.family import ClipLimits, Family
from raypipe.engines.input_builders import WindowInputBuilder

FAMILY = Family(
    name="Audio Flamingo 3",
    architecture="AudioFlamingo3ForConditionalGeneration",
    processor="AudioFlamingo3Processor",
    input_builder=WindowInputBuilder,
    clip_place="after",
    clips=ClipLimits(longest_s=600.0, encoded_in_s=30.0),
    adapter="raypipe.engines.qwen2_audio:Qwen2AudioAdapter",
    plain_fallback=False,
)
