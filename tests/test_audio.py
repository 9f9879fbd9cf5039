"""Every way in which a clip can be broken has a name; what is whole decodes to what was encoded."""

from __future__ import annotations

import io
import struct
import time
from collections.abc import Callable
from typing import Any

import librosa
import numpy as np
import pytest
import soundfile

from raypipe.audio import AudioLimits, decode, read_header, resample
from raypipe.errors import DecodeError
from raypipe.records import FloatArray

RATE = 16_000
Encode = Callable[..., bytes]
Tone = Callable[..., FloatArray]


def wav(
    data: bytes, *, declared: int | None = None, rate: int = RATE, channels: int = 1, kind: int = 1
) -> bytes:
    """A WAV file by hand, so that its header can lie; ``kind`` 1 is 16-bit PCM, 3 float."""
    width = 2 if kind == 1 else 4
    size = len(data) if declared is None else declared
    layout = struct.pack(
        "<IHHIIHH", 16, kind, channels, rate, rate * channels * width, channels * width, width * 8
    )
    riff = min(36 + size, 0xFFFFFFFF)
    return (
        b"RIFF"
        + struct.pack("<I", riff)
        + b"WAVEfmt "
        + layout
        + b"data"
        + struct.pack("<I", size)
        + data
    )


def code(audio: bytes, **limits: Any) -> str:
    with pytest.raises(DecodeError) as caught:
        decode(audio, sampling_rate=RATE, limits=AudioLimits(**limits))
    assert str(caught.value)
    return caught.value.code


@pytest.mark.parametrize(
    ("kind", "subtype", "tolerance"),
    [
        ("WAV", "PCM_16", 1e-4),
        ("WAV", "PCM_24", 1e-6),
        ("WAV", "FLOAT", 0),
        ("WAV", "DOUBLE", 0),
        ("FLAC", "PCM_16", 1e-4),
        ("AIFF", "PCM_16", 1e-4),
        ("RF64", "PCM_16", 1e-4),
        ("OGG", "VORBIS", 0.02),
        ("MP3", "MPEG_LAYER_III", 0.02),
    ],
)
def test_what_was_encoded_is_decoded(
    encode: Encode, tone: Tone, kind: str, subtype: str, tolerance: float
) -> None:
    samples = tone(2.5)
    decoded = decode(encode(samples, kind=kind, subtype=subtype), sampling_rate=RATE)
    assert decoded.dtype == np.float32
    assert decoded.shape == samples.shape
    inner = slice(RATE // 4, -RATE // 4)  # lossy codecs ring at the edges
    np.testing.assert_allclose(decoded[inner], samples[inner], atol=tolerance)


def test_channels_are_averaged(encode: Encode, tone: Tone) -> None:
    left, right = tone(1.0), tone(1.0, frequency=700)
    decoded = decode(encode(np.stack([left, right], axis=1), subtype="FLOAT"), sampling_rate=RATE)
    np.testing.assert_allclose(decoded, (left + right) / 2, atol=1e-7)


@pytest.mark.parametrize("source", [8_000, 22_050, 44_100, 48_000])
def test_resampling_is_librosas(encode: Encode, tone: Tone, source: int) -> None:
    samples = tone(1.013, source)
    decoded = decode(encode(samples, source, subtype="FLOAT"), sampling_rate=RATE)
    oracle = librosa.resample(samples, orig_sr=source, target_sr=RATE, res_type="soxr_hq")
    np.testing.assert_allclose(decoded, oracle, atol=1e-6)
    assert resample(samples, source, source) is samples


def test_resampling_keeps_a_tone_and_its_level(tone: Tone) -> None:
    heard = resample(tone(1.0, 44_100, 1000.0), 44_100, RATE)
    np.testing.assert_allclose(heard[800:-800], tone(1.0, RATE, 1000.0)[800:-800], atol=1e-3)


def test_a_flac_decodes_as_soundfile_reads_it(encode: Encode) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.1, 3 * RATE + 77).astype(np.float32)
    encoded = encode(noise, kind="FLAC", subtype="PCM_24")
    oracle, _ = soundfile.read(io.BytesIO(encoded), dtype="float32")
    np.testing.assert_array_equal(decode(encoded, sampling_rate=RATE), oracle)


@pytest.mark.parametrize(
    "audio",
    [
        b"<!DOCTYPE html><html>404</html>",
        b'<?xml version="1.0"?><Error><Code>SlowDown</Code></Error>',
        np.random.default_rng(0).bytes(5000),
        b"RIFF\0\0\0\0WAVE",
        b"fLaC",
        b"ID3\x03\0\0\0\0\0\x7f",
        b"\0",
    ],
)
def test_what_is_not_audio(audio: bytes) -> None:
    assert code(audio) == "not_audio"


def test_empty_and_zero_length(encode: Encode) -> None:
    assert code(b"") == "empty"
    assert code(wav(b"")) == "zero_length"
    assert code(encode(np.zeros(0, np.float32), kind="AIFF")) == "zero_length"


@pytest.mark.parametrize("cut", [0.05, 0.5, 0.9, 0.999])
@pytest.mark.parametrize(
    ("kind", "subtype"),
    [
        ("WAV", "PCM_16"),
        ("AIFF", "PCM_16"),
        ("RF64", "PCM_16"),
        ("FLAC", "PCM_16"),
        ("OGG", "VORBIS"),
    ],
)
def test_a_cut_file_is_truncated(
    encode: Encode, tone: Tone, kind: str, subtype: str, cut: float
) -> None:
    whole = encode(tone(3.0), kind=kind, subtype=subtype)
    assert code(whole[: int(len(whole) * cut)]) == "truncated"


@pytest.mark.parametrize("kind", ["FLAC", "OGG"])
def test_one_missing_byte_is_noticed(encode: Encode, tone: Tone, kind: str) -> None:
    assert code(encode(tone(1.0), kind=kind)[:-1]) == "truncated"


def test_half_an_mp3_is_truncated(encode: Encode, tone: Tone) -> None:
    whole = encode(tone(3.0), kind="MP3")
    assert code(whole[: len(whole) // 2]) == "truncated"


@pytest.mark.parametrize(
    ("declared", "present"),
    [(0xEFFFFFF0, 1000), (100 << 20, 0), (32_000, 16_000), (32_000, 31_930)],
)
def test_a_wav_header_that_declares_more_than_there_is(declared: int, present: int) -> None:
    assert code(wav(bytes(present), declared=declared)) == "truncated"


def test_a_wav_header_without_its_data_is_truncated() -> None:
    assert code(wav(bytes(100))[:40]) == "truncated"


def test_a_flac_of_unknown_length_is_whole_and_its_cut_is_not(encode: Encode, tone: Tone) -> None:
    streamed = bytearray(encode(tone(1.7), kind="FLAC"))
    streamed[21] &= 0xF0  # total samples in STREAMINFO: unknown
    streamed[22:26] = bytes(4)
    assert read_header(bytes(streamed)).duration_s is None
    assert decode(bytes(streamed), sampling_rate=RATE).shape == tone(1.7).shape
    assert code(bytes(streamed[:-500])) == "truncated"
    assert code(bytes(streamed), max_duration_s=1.0) == "too_long"


@pytest.mark.parametrize("where", [0.1, 0.5, 0.9])
def test_a_changed_flac_is_corrupt(encode: Encode, tone: Tone, where: float) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 10 * RATE).astype(np.float32)
    damaged = bytearray(encode(noise, kind="FLAC"))
    damaged[int(len(damaged) * where)] ^= 0xFF
    assert code(bytes(damaged)) == "corrupt"
    start = int(len(damaged) * where)
    damaged[start : start + 2000] = bytes(2000)
    assert code(bytes(damaged)) == "corrupt"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers(value: float) -> None:
    samples = np.zeros(RATE, np.float32)
    samples[-1] = value
    assert code(wav(samples.tobytes(), kind=3)) == "non_finite"


def test_limits_are_told_with_value_and_limit(encode: Encode, tone: Tone) -> None:
    clip = encode(tone(2.0))
    for limits, name, value, limit in (
        ({"max_duration_s": 1.5}, "too_long", "2.000 s", "1.5 s"),
        ({"min_sampling_rate": 20_000}, "bad_sampling_rate", "16000 Hz", "20000"),
    ):
        with pytest.raises(DecodeError) as caught:
            decode(clip, sampling_rate=RATE, limits=AudioLimits(**limits))  # type: ignore[arg-type]
        assert caught.value.code == name
        assert value in str(caught.value)
        assert limit in str(caught.value)
    assert decode(clip, sampling_rate=RATE, limits=AudioLimits(max_duration_s=2.0)).shape == (
        32_000,
    )


@pytest.mark.parametrize("rate", [1, 3_999, 192_001, 2**31 - 1])
def test_sampling_rates_that_no_recorder_has(rate: int) -> None:
    assert code(wav(bytes(100), rate=rate)) == "bad_sampling_rate"


@pytest.mark.parametrize("channels", [3, 8, 1024])
def test_more_channels_than_allowed(channels: int) -> None:
    assert code(wav(bytes(channels * 20), channels=channels)) == "too_many_channels"


@pytest.fixture(scope="module")
def bomb(encode: Encode) -> bytes:
    """Half an hour and a second of silence in 100 kB."""
    encoded = encode(np.zeros(RATE * 1801, np.int16), kind="FLAC")
    assert len(encoded) < 100_000
    return encoded


def test_a_decompression_bomb_is_refused_at_once(bomb: bytes) -> None:
    started = time.process_time()
    assert code(bomb) == "too_long"
    assert time.process_time() - started < 0.2


def test_a_bomb_whose_header_lies_is_stopped_while_reading(bomb: bytes) -> None:
    lying = bytearray(bomb)
    lying[21] &= 0xF0
    lying[22:26] = bytes(4)
    started = time.process_time()
    assert code(bytes(lying), max_duration_s=60.0) == "too_long"
    assert time.process_time() - started < 0.5


def test_no_bytes_make_the_decoder_raise_anything_else(encode: Encode, tone: Tone) -> None:
    rng = np.random.default_rng(2)
    sources = [encode(tone(0.3), kind=kind) for kind in ("WAV", "FLAC", "OGG", "AIFF")]
    for number in range(400):
        damaged = bytearray(sources[number % len(sources)])
        for _ in range(rng.integers(1, 8)):
            damaged[rng.integers(0, min(len(damaged), 300))] = rng.integers(0, 256)
        damaged = damaged[: rng.integers(0, len(damaged) + 1)] if number % 3 == 0 else damaged
        try:
            samples = decode(bytes(damaged), sampling_rate=RATE)
        except DecodeError:
            continue
        assert np.isfinite(samples).all()


def test_the_header_is_read_without_decoding(encode: Encode, tone: Tone) -> None:
    header = read_header(encode(np.stack([tone(1.5, 44_100)] * 2, axis=1), 44_100))
    assert (header.sampling_rate, header.channels, header.duration_s) == (44_100, 2, 1.5)
    with pytest.raises(DecodeError, match="declares"):
        read_header(encode(tone(1.0))[:-100])
