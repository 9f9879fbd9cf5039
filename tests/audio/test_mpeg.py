"""Lengths of MP3s are those of what is in them."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from raypipe.audio import decode, read_header
from raypipe.audio.containers import checked_container
from raypipe.errors import DecodeError
from raypipe.records import FloatArray

NOISE = np.random.default_rng(0)


def speech_after_silence(rate: int, channels: int) -> FloatArray:
    """One second of nothing and two of noise: frames of very different sizes."""
    signal = np.concatenate([np.zeros(rate), NOISE.normal(0, 0.1, 2 * rate)])
    return np.stack([signal] * channels, axis=1).astype(np.float32)


def mp3(samples: FloatArray, rate: int, mode: str = "VARIABLE") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="MP3", bitrate_mode=mode)
    return buffer.getvalue()


def without_first_frame(audio: bytes) -> bytes:
    """As a recorder writes it that does not know how long it will run."""
    second = audio.index(audio[:2], 4)
    while audio[second + 2] >> 2 & 3 != audio[2] >> 2 & 3:
        second = audio.index(audio[:2], second + 1)
    return audio[second:]


def id3_tag(size: int) -> bytes:
    """An ID3v2 tag, as one with a picture inside."""
    digits = [size >> shift & 0x7F for shift in (21, 14, 7, 0)]
    return b"ID3\x04\0\0" + bytes(digits) + bytes(size)


@pytest.mark.parametrize("mode", ["CONSTANT", "AVERAGE", "VARIABLE"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000])
def test_the_length_comes_from_the_frames(rate: int, channels: int, mode: str) -> None:
    audio = mp3(speech_after_silence(rate, channels), rate, mode)
    bare = without_first_frame(audio)
    assert len(decode(audio, sampling_rate=rate)) == 3 * rate
    tagged = id3_tag(1 << 20) + bare + b"TAG" + bytes(125)
    for file in (bare, tagged):
        decoded = decode(file, sampling_rate=rate)
        # What an encoder puts before and after cannot be told without the first frame.
        assert 3 * rate <= len(decoded) <= 3 * rate + 3 * 1152
        assert read_header(file).frames == len(decoded)
        loud = np.flatnonzero(np.abs(decoded) > 0.05)
        assert loud[0] / rate == pytest.approx(1.0, abs=0.1)
        assert loud[-1] / rate == pytest.approx(3.0, abs=0.1)


def test_a_leading_silence_is_not_called_truncated() -> None:
    """Its frames are small: a length that is estimated from the first one is far too long."""
    rate = 16_000
    samples = np.concatenate([np.zeros(10 * rate), NOISE.normal(0, 0.3, rate)]).astype(np.float32)
    decoded = decode(without_first_frame(mp3(samples, rate)), sampling_rate=rate)
    assert len(decoded) / rate == pytest.approx(11.0, abs=0.25)


def test_frames_that_the_first_one_declares_must_be_there() -> None:
    audio = mp3(speech_after_silence(16_000, 1), 16_000)
    for share in (0.5, 0.9, 0.97):
        with pytest.raises(DecodeError, match="declares 86 frames") as caught:
            decode(audio[: int(len(audio) * share)], sampling_rate=16_000)
        assert caught.value.code == "truncated"


def test_two_mp3s_in_one_are_as_long_as_both() -> None:
    """Players go on; the first frame tells of the first half only."""
    audio = mp3(speech_after_silence(16_000, 1), 16_000)
    joined = audio + without_first_frame(audio)
    assert len(decode(joined, sampling_rate=16_000)) / 16_000 == pytest.approx(6.0, abs=0.2)
    assert "declares 86 frames, 172 are there" in str(checked_container(joined).note)


def test_what_is_no_mp3_is_left_alone() -> None:
    for audio in (b"\xff", b"\xff\xfb", b"\xff\xfb\x90", b"ID3", id3_tag(20), b"\xff\xfb" * 999):
        assert checked_container(audio).audio is audio
