"""Data2Vec-Audio."""

from __future__ import annotations

from raypipe.ssl.encoder import EncoderFamily
from raypipe.ssl.waveform_encoder import LAYERS, NORMALISATION, waveform_loader

FAMILY = EncoderFamily(
    name="Data2Vec-Audio",
    rank=50,
    model_types=("data2vec-audio",),
    # Its position convolutions stand one behind the other: what the first makes of padding would
    # reach the clip's last frames through the second.
    load=waveform_loader("Data2VecAudioModel", masks_padding=False),
    layers=LAYERS,
    batches="clips of one length only: its position convolutions do not leave padding out",
    normalisation=NORMALISATION,
    examples=("facebook/data2vec-audio-base", "facebook/data2vec-audio-large"),
)
