"""wav2vec 2.0."""

from __future__ import annotations

from raypipe.ssl.encoder import EncoderFamily
from raypipe.ssl.waveform_encoder import BATCHES, LAYERS, NORMALISATION, waveform_loader

FAMILY = EncoderFamily(
    name="wav2vec 2.0",
    rank=40,
    model_types=("wav2vec2",),
    load=waveform_loader("Wav2Vec2Model"),
    layers=LAYERS,
    batches=BATCHES,
    normalisation=NORMALISATION,
    examples=(
        "facebook/wav2vec2-base",
        "facebook/wav2vec2-large-robust",
        "facebook/wav2vec2-xls-r-1b",
    ),
)
