"""Qwen2 and Qwen2.5 without audio."""

from __future__ import annotations

from raypipe.engines.families.family import Family
from raypipe.engines.input_builders import TextInputBuilder

FAMILY = Family(
    name="Qwen2, Qwen2.5 (text)",
    architecture="Qwen2ForCausalLM",
    processor=None,
    input_builder=TextInputBuilder,
    clips=None,
)
