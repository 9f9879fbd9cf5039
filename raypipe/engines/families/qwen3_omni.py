"""The thinker of Qwen3-Omni, the part that takes audio and writes text."""

from __future__ import annotations

from raypipe.engines.families.family import ClipLimits, Family
from raypipe.engines.input_builders import ProcessorInputBuilder
from raypipe.engines.published import Published

FAMILY = Family(
    name="Qwen3-Omni (thinker)",
    architecture="Qwen3OmniMoeThinkerForConditionalGeneration",
    published_as=("Qwen3OmniMoeForConditionalGeneration",),
    processor="Qwen3OmniMoeProcessor",
    input_builder=ProcessorInputBuilder,
    clips=ClipLimits(longest_s=2400.0, reason="what its authors state"),
    captured=False,
    end_token="<|im_end|>",
    published=(
        Published(
            name="Qwen/Qwen3-Omni-30B-A3B-Instruct",
            parameters=31.0,
            dtype="bfloat16",
            licence="apache-2.0",
            source="hub listings: 31 billion parameters for its thinker alone, 35 in all; licence "
            "as several others name it",
        ),
        Published(
            name="Qwen/Qwen3-Omni-30B-A3B-Thinking",
            parameters=31.0,
            dtype="bfloat16",
            source="its README: a thinker of the same size alone",
        ),
    ),
    unused=("images", "video", "spoken answers"),
)
