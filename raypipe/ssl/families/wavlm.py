"""WavLM."""

from __future__ import annotations

from raypipe.ssl.encoder import EncoderFamily
from raypipe.ssl.waveform_encoder import BATCHES, LAYERS, NORMALISATION, waveform_loader

FAMILY = EncoderFamily(
    name="WavLM",
    rank=20,
    model_types=("wavlm",),
    load=waveform_loader("WavLMModel"),
    layers=LAYERS,
    batches=BATCHES,
    normalisation=NORMALISATION,
    examples=("microsoft/wavlm-base-plus", "microsoft/wavlm-large"),
)
