"""Granite-Speech."""

from __future__ import annotations

from raypipe.engines.families.family import EQUALS_GENERATE, ClipLimits, Family
from raypipe.engines.input_builders import ProcessorInputBuilder

FAMILY = Family(
    name="Granite-Speech",
    architecture="GraniteSpeechForConditionalGeneration",
    processor="GraniteSpeechProcessor",
    input_builder=ProcessorInputBuilder,
    clip_place="inline",
    clips=ClipLimits(longest_s=1800.0),
    decoder="plain",
    logits_divisor="logits_scaling",
    has_clip_adapter=True,
    extra="granite-speech",
    verified=f"{EQUALS_GENERATE} once its logits are divided by logits_scaling, which "
    "transformers 5.19 leaves out",
)
