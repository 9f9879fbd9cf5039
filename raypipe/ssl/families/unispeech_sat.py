"""UniSpeech-SAT."""

from __future__ import annotations

from raypipe.ssl.encoder import EncoderFamily
from raypipe.ssl.waveform_encoder import BATCHES, LAYERS, NORMALISATION, waveform_loader

FAMILY = EncoderFamily(
    name="UniSpeech-SAT",
    rank=60,
    model_types=("unispeech-sat",),
    load=waveform_loader("UniSpeechSatModel"),
    layers=LAYERS,
    batches=BATCHES,
    normalisation=NORMALISATION,
    examples=("microsoft/unispeech-sat-base-plus", "microsoft/unispeech-sat-large"),
)
