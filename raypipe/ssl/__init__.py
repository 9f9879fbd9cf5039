"""Frozen encoders: the time-mean of every layer of a clip, and light heads on it."""

from __future__ import annotations

from raypipe.records import LayerStatistics
from raypipe.ssl.encoder import (
    Encoder,
    EncoderFamily,
    EncoderSource,
    Normalisation,
)
from raypipe.ssl.registry import encoder_families, family_of, load

__all__ = [
    "Encoder",
    "EncoderFamily",
    "EncoderSource",
    "LayerStatistics",
    "Normalisation",
    "encoder_families",
    "family_of",
    "load",
]
