"""FLAC holds the very samples of integer PCM; what it cannot hold stays as it is."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import soundfile

from raypipe.errors import DecodeError
from raypipe.lossless import as_flac

RATE = 22_050
# Bits of each subtype; all of them are drawn, the extremes included.
BITS = {"PCM_U8": 8, "PCM_S8": 8, "PCM_16": 16, "PCM_24": 24}


def noise(bits: int, channels: int) -> np.ndarray:
    """Every bit in use, left-justified in 32 bits, shape ``(frames, channels)``."""
    top = 2 ** (bits - 1)
    drawn = np.random.default_rng(bits).integers(-top, top, (4_000, channels), dtype=np.int64)
    drawn[:2] = [[-top], [top - 1]]
    return (drawn << (32 - bits)).astype(np.int32)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("kind", "subtype"),
    [
        ("WAV", "PCM_U8"),
        ("WAV", "PCM_16"),
        ("WAV", "PCM_24"),
        ("WAVEX", "PCM_24"),
        ("AIFF", "PCM_S8"),
        ("AIFF", "PCM_16"),
    ],
)
def test_every_bit_is_kept(
    encode: Callable[..., bytes], kind: str, subtype: str, channels: int
) -> None:
    samples = noise(BITS[subtype], channels)
    stored = as_flac(encode(samples, RATE, kind=kind, subtype=subtype))
    assert stored.kept is None
    with soundfile.SoundFile(io.BytesIO(stored.audio)) as flac:
        assert (flac.format, flac.samplerate) == ("FLAC", RATE)
        assert flac.subtype == f"PCM_{'S8' if BITS[subtype] == 8 else BITS[subtype]}"
        found = flac.read(dtype="int32", always_2d=True)
    np.testing.assert_array_equal(found, samples)


def test_speech_gets_smaller(encode: Callable[..., bytes], tone: Callable[..., Any]) -> None:
    wav = encode(tone(2.0))
    assert len(as_flac(wav).audio) < 0.6 * len(wav)


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [
        ("WAV", "FLOAT"),
        ("WAV", "PCM_32"),
        ("WAV", "ULAW"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", "MPEG_LAYER_III"),
    ],
)
def test_what_flac_cannot_hold_stays(
    encode: Callable[..., bytes], tone: Callable[..., Any], kind: str, subtype: str
) -> None:
    audio = encode(tone(0.5, 48_000), 48_000, kind=kind, subtype=subtype)
    stored = as_flac(audio)
    assert stored.audio is audio
    assert stored.kept == f"{kind}/{subtype}"


def test_more_channels_than_flac_has_stay(encode: Callable[..., bytes]) -> None:
    audio = encode(np.zeros((100, 9), np.float32))
    assert as_flac(audio).kept == "WAV/PCM_16"


def test_flac_is_flac_already(encode: Callable[..., bytes], tone: Callable[..., Any]) -> None:
    audio = encode(tone(0.5), kind="FLAC")
    assert as_flac(audio).audio is audio
    assert as_flac(audio).kept is None


@pytest.mark.parametrize("damaged", [b"", b"no sound at all", b"RIFF"])
def test_no_recording_is_told(damaged: bytes) -> None:
    with pytest.raises(DecodeError):
        as_flac(damaged)


def test_missing_samples_are_told(encode: Callable[..., bytes], tone: Callable[..., Any]) -> None:
    with pytest.raises(DecodeError, match="declares 16000 bytes of audio"):
        as_flac(encode(tone(0.5))[:-100])
