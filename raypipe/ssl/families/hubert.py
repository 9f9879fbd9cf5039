"""HuBERT."""

from __future__ import annotations

from raypipe.ssl.encoder import EncoderFamily
from raypipe.ssl.waveform_encoder import BATCHES, LAYERS, NORMALISATION, waveform_loader

FAMILY = EncoderFamily(
    name="HuBERT",
    rank=30,
    model_types=("hubert",),
    load=waveform_loader("HubertModel"),
    layers=LAYERS,
    batches=BATCHES,
    normalisation=NORMALISATION,
    examples=("facebook/hubert-base-ls960", "facebook/hubert-large-ll60k"),
)
