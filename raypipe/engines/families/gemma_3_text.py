"""Gemma 3 without audio."""

from __future__ import annotations

from raypipe.engines.families.family import Family
from raypipe.engines.input_builders import TextInputBuilder

FAMILY = Family(
    name="Gemma 3 (text)",
    architecture="Gemma3ForCausalLM",
    processor=None,
    input_builder=TextInputBuilder,
    clips=None,
    decoder="plain",
)
