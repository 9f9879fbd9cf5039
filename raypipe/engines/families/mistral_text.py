"""Mistral without audio."""

from __future__ import annotations

from raypipe.engines.families.family import Family
from raypipe.engines.input_builders import TextInputBuilder

FAMILY = Family(
    name="Mistral (text)",
    architecture="MistralForCausalLM",
    processor=None,
    input_builder=TextInputBuilder,
    clips=None,
)
