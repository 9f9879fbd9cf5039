"""Containers whose own sizes can be wrong: WAV, AIFF, Ogg and MPEG streams, checked and mended.

libsndfile believes a header. A recorder that wrote to a pipe could not know the length and left a
placeholder there; other writers are wrong by the size of a header. Where all samples are there, the
sizes are set right in a copy and a note says what they were. Where samples are missing, the clip is
refused.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from raypipe.audio.media import audio_track, media_kind
from raypipe.audio.mpeg import with_frame_count
from raypipe.audio.ogg import check_ogg_pages
from raypipe.errors import DecodeError

_FEW_BYTES = 64
"""Bytes by which a declared size may be wrong at the end of a file: that of a header, at most."""

_HALF_RANGE = 1 << 31
_PLACEHOLDER_SLACK = 1 << 16
_ROUND, _ROUND_SIZES = 1 << 20, 0x7F000000
_STREAMED_SIZE = 0xFFFFFFFF
_LAST_CHUNKS = (
    *(b"LIST", b"id3 ", b"ID3 ", b"bext", b"fact", b"cue ", b"smpl", b"iXML", b"axml", b"afsp"),
    *(b"PEAK", b"JUNK", b"NAME", b"AUTH", b"ANNO", b"(c) "),
)


@dataclass(frozen=True, slots=True)
class SoundFileBytes:
    """An encoded clip that a decoder may believe.

    Attributes:
        audio: the file, its sizes set right where they were wrong.
        note: what was wrong with it, in words; None for a file as it should be.
    """

    audio: bytes
    note: str | None = None


def checked_container(audio: bytes, *, whole: bool = True) -> SoundFileBytes:
    """A clip whose container tells its true length.

    Args:
        audio: the encoded file.
        whole: whether it is refused if samples are missing at its end.

    Raises:
        DecodeError: ``empty``; ``truncated`` where the file ends before it says it does; as
            :func:`raypipe.audio.media.audio_track`.
    """
    try:
        return _checked(audio)
    except DecodeError as error:
        if whole or error.code != "truncated":
            raise
        return SoundFileBytes(audio, str(error))


def _checked(audio: bytes) -> SoundFileBytes:
    if not audio:
        raise DecodeError("empty", "0 bytes")
    if media_kind(audio) is not None:
        return SoundFileBytes(audio_track(audio))
    kind = audio[:4]
    if kind in (b"RIFF", b"RF64", b"BW64"):
        return _checked_chunks(audio, "<I", b"data")
    if kind in (b"FORM", b"RIFX"):
        return _checked_chunks(audio, ">I", b"SSND" if kind == b"FORM" else b"data")
    if kind == b"OggS":
        check_ogg_pages(audio)
    elif kind[:3] == b"ID3" or (kind[0] == 0xFF and kind[1:] and kind[1] & 0xE0 == 0xE0):
        return SoundFileBytes(*with_frame_count(audio))
    return SoundFileBytes(audio)


def _checked_chunks(audio: bytes, byte_order: str, wanted: bytes) -> SoundFileBytes:
    for name, start, size in _chunks(audio, byte_order):
        if name != wanted:
            continue
        present = _end_of_samples(audio, byte_order, start) - start
        if size > present and not _is_placeholder(size):
            if size > present + _FEW_BYTES or present <= 0:
                raise DecodeError(
                    "truncated", f"the header declares {size} bytes of audio, {present} are there"
                )
            note = f"the header declares {size} bytes of audio, {present} are there"
        elif size > present or (
            size == 0 and present and not _chunks_follow(audio, byte_order, start)
        ):
            note = f"the header declares {size} bytes of audio, as if written to a pipe"
        else:
            extra = present - size - size % 2
            if extra <= 0 or _looks_like_a_chunk(audio, start + size + size % 2):
                return SoundFileBytes(audio)
            note = f"the header declares {size} bytes of audio, {extra} that are no chunk follow"
            (declared,) = struct.unpack_from(byte_order, audio, 4)
            if declared + 8 < start + present or size == 0:  # another file may begin there
                return SoundFileBytes(audio, f"{note}; they are not heard")
        return SoundFileBytes(_resized(audio, byte_order, start, present), note)
    (declared,) = struct.unpack_from(byte_order, audio, 4) if len(audio) >= 8 else (8,)
    if declared + 8 > len(audio):
        raise DecodeError(
            "truncated", f"the header declares {declared + 8} bytes, {len(audio)} are there"
        )
    return SoundFileBytes(audio)


def _is_placeholder(size: int) -> bool:
    """Whether a size is one that writers put where they do not know it.

    They write the largest 31- or 32-bit number, or that less a buffer or a header: sox 0x7FFFF000,
    arecord 0x80000000, ffmpeg 0xFFFFFFFF, others 0xFFFFFFDB; or a round number close to it, and a
    header: 0x7F000008, 0x80000024. RF64 has such numbers of 64 bits.
    """
    beyond = -size % _HALF_RANGE
    is_round = size >= _ROUND_SIZES and size % _ROUND <= _FEW_BYTES
    return size > 0 and (beyond <= _PLACEHOLDER_SLACK or is_round or size >= 1 << 62)


def _looks_like_a_chunk(audio: bytes, start: int) -> bool:
    name = audio[start : start + 4]
    return len(name) == 4 and name.isascii() and name.decode("ascii").isprintable()


def _end_of_samples(audio: bytes, byte_order: str, start: int) -> int:
    """Position after the samples of a file whose last chunks tell about it."""
    end = len(audio)
    while True:
        places = [audio.rfind(name, start, end) for name in _LAST_CHUNKS]
        tails = [at for at in places if at >= 0 and _ends_at(audio, byte_order, at, end)]
        if not tails:
            return end
        end = max(tails)


def _ends_at(audio: bytes, byte_order: str, start: int, end: int) -> bool:
    """Whether a chunk reaches from one position to another, with or without a byte of padding."""
    if start + 8 > end:
        return False
    (size,) = struct.unpack_from(byte_order, audio, start + 4)
    return bool(end - start - 8 - size in (0, 1))


def _chunks_follow(audio: bytes, byte_order: str, start: int) -> bool:
    """Whether all that stands from here on is chunks: an empty one may be followed by others."""
    while start + 8 <= len(audio):
        name = audio[start : start + 4]
        if not (name.isascii() and name.decode("ascii").isprintable()):
            return False
        (size,) = struct.unpack_from(byte_order, audio, start + 4)
        start += 8 + size + size % 2
    return len(audio) <= start <= len(audio) + 1


def _resized(audio: bytes, byte_order: str, start: int, present: int) -> bytes:
    """The file with the size of its samples, and its own, as they are."""
    mended = bytearray(audio)
    struct.pack_into(byte_order, mended, start - 4, present)
    struct.pack_into(byte_order, mended, 4, len(audio) - 8)
    if audio[:4] in (b"RF64", b"BW64"):  # the sizes of 64 bits are not needed any more
        mended[:4] = b"RIFF"
        long_sizes = audio.find(b"ds64", 12, start)
        if long_sizes >= 0:
            mended[long_sizes : long_sizes + 4] = b"JUNK"
    return bytes(mended)


def _chunks(audio: bytes, byte_order: str) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and declared size of each chunk of a RIFF-like file."""
    position, long_data_size = 12, None
    while position + 8 <= len(audio):
        name = audio[position : position + 4]
        (size,) = struct.unpack_from(byte_order, audio, position + 4)
        start = position + 8
        if name == b"ds64" and start + 16 <= len(audio):
            (long_data_size,) = struct.unpack_from("<Q", audio, start + 8)
        if name == b"data" and size == _STREAMED_SIZE and long_data_size:
            size = long_data_size
        yield name, start, size
        position = start + size + size % 2
