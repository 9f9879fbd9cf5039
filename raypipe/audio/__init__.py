"""Encoded recordings: their headers, their samples, what is wrong with them."""

from raypipe.audio.decoding import (
    AudioHeader,
    AudioLimits,
    MeasuredSound,
    decode,
    measure,
    open_sound,
    read_header,
    resample,
)

__all__ = [
    "AudioHeader",
    "AudioLimits",
    "MeasuredSound",
    "decode",
    "measure",
    "open_sound",
    "read_header",
    "resample",
]
