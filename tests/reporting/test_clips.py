"""Recordings for a browser: what it plays stays as it is, anything else is decoded."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from in_process import InProcess

from raypipe.errors import DecodeError, ShardError
from raypipe.reporting.clips import browser_clip, short_clip, stored_clip
from raypipe.store.location import Location

Encode = Callable[..., bytes]
RATE = 16_000


@pytest.fixture
def sound(tone: Callable[..., np.ndarray]) -> np.ndarray:
    return tone(2.0)


@pytest.mark.parametrize(
    ("kind", "subtype", "content_type"),
    [
        ("FLAC", "PCM_16", "audio/flac"),
        ("FLAC", "PCM_24", "audio/flac"),
        ("WAV", "PCM_16", "audio/wav"),
        ("WAV", "FLOAT", "audio/wav"),
        ("WAVEX", "PCM_24", "audio/wav"),
        ("OGG", "VORBIS", "audio/ogg"),
        ("OGG", "OPUS", "audio/ogg"),
        ("MP3", None, "audio/mpeg"),
    ],
)
def test_what_browsers_play_stays_as_it_is(
    encode: Encode, sound: np.ndarray, kind: str, subtype: str | None, content_type: str
) -> None:
    audio = encode(sound, kind=kind, subtype=subtype)
    clip = browser_clip(audio)
    assert (clip.data, clip.content_type, clip.note) == (audio, content_type, "")


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [
        ("AIFF", "PCM_16"),
        ("AU", "PCM_16"),
        ("W64", "PCM_16"),
        ("WAV", "ALAW"),
        ("WAV", "ULAW"),
    ],
)
def test_anything_else_becomes_flac_of_the_same_sound(
    encode: Encode, sound: np.ndarray, kind: str, subtype: str
) -> None:
    clip = browser_clip(encode(sound, kind=kind, subtype=subtype))
    assert clip.content_type == "audio/flac"
    assert "FLAC" in clip.note
    samples, rate = soundfile.read(io.BytesIO(clip.data))
    assert rate == RATE
    np.testing.assert_allclose(samples, sound, atol=0.02)


def test_what_is_no_sound_is_refused() -> None:
    with pytest.raises(DecodeError):
        browser_clip(b"<script>alert(1)</script>")
    with pytest.raises(DecodeError):
        browser_clip(b"")


def test_a_large_recording_is_cut_and_made_small(encode: Encode, sound: np.ndarray) -> None:
    stereo = np.stack([sound, sound], axis=1)
    audio = encode(stereo, 48_000, kind="WAV", subtype="FLOAT")
    limits = {"most_s": 0.5, "sampling_rate": RATE}
    clip = short_clip(audio, most_bytes=1000, **limits)
    info = soundfile.info(io.BytesIO(clip.data))
    assert (info.format, info.channels, info.samplerate) == ("FLAC", 1, RATE)
    assert info.duration == pytest.approx(0.5)
    assert clip.note == "the first 0.5 of 0.7 s"
    assert short_clip(audio, most_bytes=len(audio), **limits).data == audio
    assert short_clip(audio, most_bytes=1000, most_s=5.0, sampling_rate=RATE).note == ""


def test_a_recording_is_found_in_its_shard(in_process: InProcess) -> None:
    shards = Location.parse(str(in_process.shards))
    assert stored_clip(shards, "shard-000000.parquet", "u4").startswith(b"fLaC")
    with pytest.raises(ShardError, match="holds no utterance 'u9'"):
        stored_clip(shards, "shard-000000.parquet", "u9")
    with pytest.raises(ShardError, match="is missing"):
        stored_clip(shards, "shard-000009.parquet", "u4")


def test_a_damaged_shard_is_an_error_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 is not enough")
    with pytest.raises(ShardError, match="cannot be read"):
        stored_clip(Location.parse(str(tmp_path)), "x.parquet", "u4")
