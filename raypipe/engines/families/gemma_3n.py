"""Gemma 3n."""

from __future__ import annotations

from raypipe.engines.families.family import ClipLimits, Family
from raypipe.engines.input_builders import ProcessorInputBuilder
from raypipe.engines.published import Published

FAMILY = Family(
    name="Gemma 3n",
    architecture="Gemma3nForConditionalGeneration",
    processor="Gemma3nProcessor",
    input_builder=ProcessorInputBuilder,
    clips=ClipLimits(longest_s=30.0, reason="its processor cuts after 30 s"),
    decoder="plain",
    unused=("images",),
    extra="gemma-3n",
    published=(
        Published(
            name="google/gemma-3n-E2B-it",
            parameters=6.0,
            licence="gemma",
            gated=True,
            source="its card on the hub, which rounds the raw parameters",
        ),
        Published(
            name="google/gemma-3n-E4B-it",
            parameters=8.0,
            licence="gemma",
            gated=True,
            source="its card on the hub, which rounds the raw parameters",
        ),
    ),
)
