"""The thinker of Qwen3-Omni, the part that takes audio and writes text."""

from __future__ import annotations

from raypipe.engines.families.family import ClipLimits, Family
from raypipe.engines.input_builders import ProcessorInputBuilder

FAMILY = Family(
    name="Qwen3-Omni (thinker)",
    architecture="Qwen3OmniMoeThinkerForConditionalGeneration",
    published_as=("Qwen3OmniMoeForConditionalGeneration",),
    processor="Qwen3OmniMoeProcessor",
    input_builder=ProcessorInputBuilder,
    clips=ClipLimits(longest_s=2400.0),
    captured=False,
    end_token="<|im_end|>",
    unused=("images", "video", "spoken answers"),
)
