"""Signals that are no speech are marked, and refused where they cannot be right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from raypipe.audio import AudioLimits, decode, measure
from raypipe.errors import DecodeError
from raypipe.records import AudioMarks, FloatArray

RATE = 16_000
RNG = np.random.default_rng(0)
SPEECH = RNG.normal(0, 0.1, 3 * RATE).astype(np.float32)
Encode = Callable[..., bytes]

ANTIPHASE = np.stack([SPEECH, -SPEECH], axis=1)
STRICT = AudioLimits(out_of_range="error", silent="error")


def marks(audio: bytes) -> AudioMarks:
    measured = measure(audio).marks
    assert measured is not None
    return measured


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_marks_are_those_of_the_samples(encode: Encode, channels: int, subtype: str) -> None:
    signal = RNG.normal(0, 0.3, (40_001, channels)).clip(-1, 1 - 2**-15).astype(np.float32)
    measured = measure(encode(signal, subtype=subtype))
    found = measured.marks
    assert found is not None
    assert (measured.sampling_rate, measured.frames) == (RATE, 40_001)
    assert found.peak == pytest.approx(float(np.abs(signal).max()), abs=1e-4)
    assert found.rms == pytest.approx(float(np.sqrt(np.mean(signal.astype(float) ** 2))), rel=1e-4)
    full = np.abs(signal) >= 1 - 2**-15 - 1e-9
    assert found.clipped_share == pytest.approx(float(np.mean(full)), abs=1e-3)
    assert found.silent is False
    if channels == 1:
        assert found.channel_correlation is None
    else:
        oracle = float(np.corrcoef(signal.T.astype(float))[0, 1])
        assert found.channel_correlation == pytest.approx(oracle, abs=1e-4)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_channels_in_antiphase_are_silent_in_their_mix(encode: Encode, subtype: str) -> None:
    audio = encode(ANTIPHASE, subtype=subtype)
    found = marks(audio)
    assert found.silent is True
    assert found.rms == pytest.approx(0.1, rel=0.05)
    assert found.channel_correlation == pytest.approx(-1.0, abs=1e-6)
    with pytest.raises(DecodeError, match="cancel each other out") as caught:
        decode(audio, sampling_rate=RATE, limits=STRICT)
    assert caught.value.code == "antiphase"
    one = decode(audio, sampling_rate=RATE, limits=AudioLimits(channel=1, silent="error"))
    np.testing.assert_allclose(one, -SPEECH, atol=1e-4)


@pytest.mark.parametrize("signal", [np.zeros(RATE), np.full(RATE, 2.0**-15), np.zeros((RATE, 2))])
def test_silence_is_marked_and_refused(encode: Encode, signal: FloatArray) -> None:
    audio = encode(signal.astype(np.float32))
    assert marks(audio).silent is True
    with pytest.raises(DecodeError, match="nothing is to be heard") as caught:
        decode(audio, sampling_rate=RATE, limits=STRICT)
    assert caught.value.code == "silent"
    assert len(decode(audio, sampling_rate=RATE)) == RATE


def test_quiet_speech_is_not_silent(encode: Encode) -> None:
    quiet = (SPEECH * 0.01).astype(np.float32)
    for audio in (encode(quiet, subtype="PCM_16"), encode(quiet, subtype="FLOAT")):
        assert marks(audio).silent is False
        assert len(decode(audio, sampling_rate=RATE, limits=STRICT)) == len(SPEECH)


@pytest.mark.parametrize("scale", [2.0**15, 2.0**23, 2.0**31])
def test_whole_numbers_written_as_floats(encode: Encode, scale: float) -> None:
    audio = encode((SPEECH * scale).astype(np.float32), subtype="FLOAT")
    assert (marks(audio).peak or 0) > 10
    with pytest.raises(DecodeError, match="times full scale") as caught:
        decode(audio, sampling_rate=RATE, limits=STRICT)
    assert caught.value.code == "out_of_range"
    scaled = decode(audio, sampling_rate=RATE, limits=AudioLimits(out_of_range="scale"))
    np.testing.assert_allclose(scaled, SPEECH, rtol=1e-5, atol=1e-9)
    kept = decode(audio, sampling_rate=RATE)
    np.testing.assert_allclose(kept, SPEECH * scale, rtol=1e-6)


def test_floats_a_little_beyond_full_scale_are_kept(encode: Encode) -> None:
    loud = (SPEECH * 8).astype(np.float32)
    audio = encode(loud, subtype="FLOAT")
    np.testing.assert_array_equal(decode(audio, sampling_rate=RATE, limits=STRICT), loud)
    assert (marks(audio).clipped_share or 0) > 0.1


def test_samples_that_are_no_numbers_have_no_marks(encode: Encode) -> None:
    broken = SPEECH.copy()
    broken[7] = np.nan
    assert measure(encode(broken, subtype="FLOAT")).marks is None


@pytest.mark.parametrize("limits", [{"channel": 0}, {"channel": 1}, {}])
def test_the_channel_that_is_asked_for_is_heard(encode: Encode, limits: dict[str, Any]) -> None:
    other = RNG.normal(0, 0.1, len(SPEECH)).astype(np.float32)
    pair = np.stack([SPEECH, other], axis=1)
    heard = decode(encode(pair, subtype="FLOAT"), sampling_rate=RATE, limits=AudioLimits(**limits))
    oracle = pair[:, limits["channel"]] if limits else pair.mean(axis=1)
    np.testing.assert_allclose(heard, oracle, atol=1e-7)
    mono = decode(encode(SPEECH, subtype="FLOAT"), sampling_rate=RATE, limits=AudioLimits(**limits))
    np.testing.assert_array_equal(mono, SPEECH)
    with pytest.raises(DecodeError, match="channel 2 of 2"):
        decode(encode(pair), sampling_rate=RATE, limits=AudioLimits(channel=2))
