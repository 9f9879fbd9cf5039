"""Llama 2 and 3."""

from __future__ import annotations

from raypipe.engines.families.family import Family
from raypipe.engines.input_builders import TextInputBuilder

FAMILY = Family(
    name="Llama 2, 3 (text)",
    architecture="LlamaForCausalLM",
    processor=None,
    input_builder=TextInputBuilder,
    clips=None,
)
