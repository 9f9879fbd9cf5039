"""Gemma 3n."""

from __future__ import annotations

from raypipe.engines.families.family import ClipLimits, Family
from raypipe.engines.input_builders import ProcessorInputBuilder

FAMILY = Family(
    name="Gemma 3n",
    architecture="Gemma3nForConditionalGeneration",
    processor="Gemma3nProcessor",
    input_builder=ProcessorInputBuilder,
    clips=ClipLimits(longest_s=30.0),
    decoder="plain",
    unused=("images",),
    extra="gemma-3n",
)
