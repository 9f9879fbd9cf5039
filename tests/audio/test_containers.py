"""Sizes that a container tells wrongly are set right where all samples are there."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pytest

from raypipe.audio import decode, read_header
from raypipe.audio.containers import checked_container
from raypipe.errors import DecodeError
from raypipe.lossless import as_flac
from raypipe.records import FloatArray

RATE = 16_000
SAMPLES = np.random.default_rng(0).normal(0, 0.1, 8_000).astype(np.float32)
Encode = Callable[..., bytes]

PLACEHOLDERS = [
    *(0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFDB, 0x7FFFFFDB, 0xFFFFFFF0, 0)
]


def data_size_at(audio: bytes) -> int:
    return audio.index(b"SSND" if audio[:4] == b"FORM" else b"data") + 4


def with_data_size(audio: bytes, size: int) -> bytes:
    order = ">I" if audio[:4] == b"FORM" else "<I"
    changed = bytearray(audio)
    struct.pack_into(order, changed, data_size_at(audio), size)
    return bytes(changed)


@pytest.mark.parametrize("size", PLACEHOLDERS)
@pytest.mark.parametrize(
    ("kind", "subtype"), [("WAV", "PCM_16"), ("WAVEX", "PCM_24"), ("WAV", "FLOAT")]
)
def test_a_wav_written_to_a_pipe_is_whole(
    encode: Encode, kind: str, subtype: str, size: int
) -> None:
    """The length was not known when the header was written; each writer marks it differently."""
    file = encode(SAMPLES, kind=kind, subtype=subtype)
    piped = with_data_size(file, size)
    np.testing.assert_array_equal(
        decode(piped, sampling_rate=RATE), decode(file, sampling_rate=RATE)
    )
    assert read_header(piped).duration_s == 0.5
    assert f"{size} bytes of audio, as if written to a pipe" in str(checked_container(piped).note)
    stored = as_flac(piped).audio
    np.testing.assert_array_equal(
        decode(stored, sampling_rate=RATE), decode(file, sampling_rate=RATE)
    )


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, (1 << 64) - 1, (1 << 63) - 1])
def test_an_rf64_written_to_a_pipe_is_whole(encode: Encode, size: int) -> None:
    file = encode(SAMPLES, kind="RF64")
    piped = bytearray(with_data_size(file, 0xFFFFFFFF))
    struct.pack_into("<Q", piped, file.index(b"ds64") + 16, size)
    decoded = decode(bytes(piped), sampling_rate=RATE)
    np.testing.assert_array_equal(decoded, decode(file, sampling_rate=RATE))


@pytest.mark.parametrize("missing", [1, 8, 36, 44, 64])
@pytest.mark.parametrize("kind", ["WAV", "AIFF", "RF64"])
def test_a_size_that_is_wrong_by_a_few_bytes_is_noted(
    encode: Encode, kind: str, missing: int
) -> None:
    """As where a writer counts the header too; the samples are those that are there."""
    file = encode(SAMPLES, kind=kind)
    cut = file[:-missing]
    whole = decode(file, sampling_rate=RATE)
    decoded = decode(cut, sampling_rate=RATE)
    assert 0 <= len(whole) - len(decoded) <= (missing + 1) // 2
    np.testing.assert_array_equal(decoded, whole[: len(decoded)])
    note = checked_container(cut).note
    assert note is not None
    assert "declares" in note


@pytest.mark.parametrize("missing", [66, 1_000, 15_000])
@pytest.mark.parametrize("kind", ["WAV", "AIFF", "RF64"])
def test_samples_that_stop_in_the_middle_are_refused(
    encode: Encode, kind: str, missing: int
) -> None:
    with pytest.raises(DecodeError, match="declares") as caught:
        decode(encode(SAMPLES, kind=kind)[:-missing], sampling_rate=RATE)
    assert caught.value.code == "truncated"


def test_no_samples_and_other_chunks_after_them_are_no_pipe(encode: Encode) -> None:
    empty = encode(np.zeros(0, np.float32))
    with pytest.raises(DecodeError, match="no frames"):
        decode(empty + b"LIST" + struct.pack("<I", 4) + b"INFO", sampling_rate=RATE)


def test_a_file_as_it_should_be_is_left_alone(
    encode: Encode, tone: Callable[..., FloatArray]
) -> None:
    for kind in ("WAV", "AIFF", "RF64", "FLAC", "OGG", "MP3"):
        file = encode(tone(0.5), kind=kind)
        assert checked_container(file).audio is file
        assert checked_container(file).note is None
