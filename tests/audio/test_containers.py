"""Sizes that a container tells wrongly are set right where all samples are there."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pytest

from raypipe.audio import decode, read_header
from raypipe.audio.containers import checked_container
from raypipe.corpora.pending import measured_sound
from raypipe.errors import DecodeError
from raypipe.lossless import as_flac
from raypipe.records import FloatArray

RATE = 16_000
SAMPLES = np.random.default_rng(0).normal(0, 0.1, 8_000).astype(np.float32)
Encode = Callable[..., bytes]

PLACEHOLDERS = [
    *(0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFDB, 0x7FFFFFDB, 0xFFFFFFF0, 0),
    *(0x80000024, 0x7FF00000, 0x7F000000, 0x7F000008),
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


@pytest.mark.parametrize("size", [0, 0x7F000000, 0x7F000008, 0x7FFFFFFF, 0xFFFFFFFF])
def test_an_aiff_written_to_a_pipe_is_whole(encode: Encode, size: int) -> None:
    file = encode(SAMPLES, kind="AIFF")
    decoded = decode(with_data_size(file, size), sampling_rate=RATE)
    np.testing.assert_array_equal(decoded, decode(file, sampling_rate=RATE))


TAIL = b"LIST" + struct.pack("<I", 26) + b"INFOISFT" + struct.pack("<I", 14) + b"Lavf58.29.100\0"


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF])
def test_chunks_behind_a_pipe_s_samples_are_no_samples(encode: Encode, size: int) -> None:
    file = encode(SAMPLES)
    piped = with_data_size(file, size) + TAIL + b"id3 " + struct.pack("<I", 3) + b"ID3\0"
    np.testing.assert_array_equal(
        decode(piped, sampling_rate=RATE), decode(file, sampling_rate=RATE)
    )


@pytest.mark.parametrize("missing", [2, 36, 1_000, 15_000])
@pytest.mark.parametrize("tail", [b"", TAIL])
def test_a_data_size_that_is_too_small_is_noted_and_all_is_heard(
    encode: Encode, missing: int, tail: bytes
) -> None:
    """The file's own size says that the samples beyond belong to it."""
    file = bytearray(encode(SAMPLES) + tail)
    struct.pack_into("<I", file, 4, len(file) - 8)
    less = with_data_size(bytes(file), 16_000 - missing)
    np.testing.assert_array_equal(
        decode(less, sampling_rate=RATE), decode(bytes(file), sampling_rate=RATE)
    )
    assert f"{missing} that are no chunk follow" in str(checked_container(less).note)


def test_what_lies_behind_a_whole_file_is_noted_and_not_heard(encode: Encode) -> None:
    file = encode(SAMPLES)
    for more in (bytes(100), b"\xff\xfe" * 500):
        assert len(decode(file + more, sampling_rate=RATE)) == len(SAMPLES)
        assert "they are not heard" in str(checked_container(file + more).note)
    tagged = file + TAIL
    assert checked_container(tagged).note is None
    assert checked_container(tagged[:-5]).note is None  # a cut tag costs no sample


def flac_with_frames(audio: bytes, frames: int) -> bytes:
    """A FLAC file whose header declares another number of frames."""
    changed = bytearray(audio)
    changed[21] = changed[21] & 0xF0 | frames >> 32
    changed[22:26] = struct.pack(">I", frames & 0xFFFFFFFF)
    return bytes(changed)


def test_a_flac_with_more_frames_than_it_declares_is_noted(encode: Encode) -> None:
    long = np.random.default_rng(0).normal(0, 0.1, 40_000).astype(np.float32)
    file = encode(long, kind="FLAC")
    assert measured_sound(file).frames == 40_000
    less = measured_sound(flac_with_frames(file, 8_000))
    assert less.marks is not None
    assert "declares 8000 frames, 40000 are there" in str(less.marks.note)
    for whole in (file, flac_with_frames(file, 0), file + b"TAG".ljust(128, b"\0")):
        marks = measured_sound(whole).marks
        assert marks is not None
        assert marks.note is None


def test_a_length_that_decoding_disproves_is_not_the_clip_s(encode: Encode) -> None:
    file = encode(SAMPLES, kind="FLAC")
    more = measured_sound(flac_with_frames(file, 1_000_000))
    assert more.frames == 8_000
    assert more.marks is not None
    assert "promises 1000000 frames, 8000 are there" in str(more.marks.note)
    with pytest.raises(DecodeError, match="promises"):
        decode(flac_with_frames(file, 1_000_000), sampling_rate=RATE)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_an_ogg_that_ends_between_pages_or_goes_on_is_refused(encode: Encode, subtype: str) -> None:
    long = np.random.default_rng(0).normal(0, 0.1, 80_000).astype(np.float32)
    file = encode(long, kind="OGG", subtype=subtype)
    assert checked_container(file).audio is file
    with pytest.raises(DecodeError, match="not marked as the end") as caught:
        decode(file[: file.rindex(b"OggS")], sampling_rate=RATE)
    assert caught.value.code == "truncated"
    with pytest.raises(DecodeError, match="another stream begins at byte") as caught:
        decode(file + file, sampling_rate=RATE)
    assert caught.value.code == "chained"


def test_an_mp3_inside_a_wav_may_lack_what_the_decoder_drops(encode: Encode) -> None:
    """The number of samples in its fact chunk counts the encoder's delay."""
    coded = encode(SAMPLES, kind="MP3", subtype="MPEG_LAYER_III")
    shape = struct.pack("<HHIIHHH", 0x55, 1, RATE, 4_000, 1, 0, 12)
    shape += struct.pack("<HIHHH", 1, 2, 288, 1, 1105)
    heard = len(decode(coded, sampling_rate=RATE))
    chunks = b"".join(
        name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)
        for name, data in (
            (b"fmt ", shape),
            (b"fact", struct.pack("<I", heard + 1_152)),
            (b"data", coded),
        )
    )
    wav = b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WAVE" + chunks
    assert len(decode(wav, sampling_rate=RATE)) == pytest.approx(heard, abs=2_304)


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
