"""Granite-Speech."""

from __future__ import annotations

from raypipe.engines.families.family import EQUALS_GENERATE, ClipLimits, Family
from raypipe.engines.input_builders import ProcessorInputBuilder
from raypipe.engines.published import Published

FAMILY = Family(
    name="Granite-Speech",
    architecture="GraniteSpeechForConditionalGeneration",
    processor="GraniteSpeechProcessor",
    input_builder=ProcessorInputBuilder,
    clip_place="inline",
    clips=ClipLimits(longest_s=1800.0, reason="raypipe's own"),
    decoder="plain",
    logits_divisor="logits_scaling",
    has_clip_adapter=True,
    extra="granite-speech",
    published=(
        Published(
            name="ibm-granite/granite-speech-3.3-2b",
            licence="apache-2.0",
            gated=False,
            source="its card on the hub",
        ),
        Published(
            name="ibm-granite/granite-speech-3.3-8b",
            licence="apache-2.0",
            gated=False,
            source="its card on the hub",
        ),
    ),
    verified=f"{EQUALS_GENERATE} once its logits are divided by logits_scaling, which "
    "transformers 5.19 leaves out",
)
