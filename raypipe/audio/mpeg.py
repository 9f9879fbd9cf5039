"""MPEG audio layer III (MP3): its frames counted, its length told.

An MP3 has no length but the one that some writers put into a first frame (Xing, Info, VBRI).
Without that frame libsndfile estimates the length from the bit rate of the first frame and the size
of the file, and stops there: a changing bit rate, a leading silence or a large ID3 tag gives any
length at all. So the frames are counted here, and a first frame that tells their number is put
before them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from raypipe.errors import DecodeError

_BIT_RATES = {  # kbit/s by index, of layer III
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLING_RATES = {
    3: (44_100, 48_000, 32_000),
    2: (22_050, 24_000, 16_000),
    0: (11_025, 12_000, 8_000),
}
_LAYER_III = 1
_MONO = 3
_SMALLEST_INFO_FRAME = 200  # bytes; decoders look for the number only in a frame of some size
_SPARE_FRAMES = 1  # some writers count the first frame, which holds no sound


@dataclass(frozen=True, slots=True)
class _FrameHeader:
    """The four bytes that begin a frame, of layer III.

    Attributes:
        version: 3 for MPEG-1, 2 for MPEG-2, 0 for MPEG-2.5.
        rate_index: of the sampling rate.
        size: of the whole frame, in bytes.
        is_mono: whether it holds one channel.
    """

    version: int
    rate_index: int
    size: int
    is_mono: bool

    @property
    def side_info_bytes(self) -> int:
        """Bytes between the header and the sound, or the number of frames."""
        if self.version == 3:
            return 17 if self.is_mono else 32
        return 9 if self.is_mono else 17

    def goes_with(self, other: _FrameHeader) -> bool:
        """Whether both can be of one stream."""
        return (self.version, self.rate_index) == (other.version, other.rate_index)


def with_frame_count(audio: bytes) -> tuple[bytes, str | None]:
    """An MP3 that tells the number of its frames; anything else as it is.

    Args:
        audio: the encoded file.

    Returns:
        The file, and a note in words where it told a number that is wrong.

    Raises:
        DecodeError: ``truncated`` where it tells of more frames than there are.
    """
    start = after_tags(audio)
    if audio[start : start + 4] == b"fLaC":
        return audio, None
    frames = _frames(audio, start)
    first, header = next(frames, (0, None))
    if header is None:
        return audio, None
    second, _ = next(frames, (len(audio), None))
    after_first = sum(1 for _ in frames) + (second < len(audio))
    declared = _declared_frames(audio, first, header)
    if declared is None:
        return _info_frame(header, after_first + 1) + audio[first:], None
    if declared > after_first + _SPARE_FRAMES:
        raise DecodeError(
            "truncated", f"the first frame declares {declared} frames, {after_first} are there"
        )
    if declared >= after_first - _SPARE_FRAMES:
        return audio, None
    note = f"the first frame declares {declared} frames, {after_first} are there"
    return _info_frame(header, after_first) + audio[second:], note


def after_tags(audio: bytes) -> int:
    """Position after all ID3v2 tags at the beginning."""
    position = 0
    while audio[position : position + 3] == b"ID3" and position + 10 <= len(audio):
        footer = 10 if audio[position + 5] & 0x10 else 0
        size = 0
        for byte in audio[position + 6 : position + 10]:
            size = size << 7 | byte & 0x7F
        position += 10 + size + footer
    return position


def _frames(audio: bytes, position: int) -> Iterator[tuple[int, _FrameHeader]]:
    """Position and header of every whole frame; what is none is passed over."""
    stream: _FrameHeader | None = None
    in_step = False
    while position + 4 <= len(audio):
        header = _header(audio, position)
        fits = header is not None and (stream is None or header.goes_with(stream))
        # Out of step, four bytes may look like a header by chance: another must follow.
        if header is not None and fits and (in_step or _is_followed(audio, position, header)):
            if position + header.size > len(audio):
                return
            stream = stream or header
            yield position, header
            position += header.size
            in_step = True
        else:
            in_step = False
            position = audio.find(b"\xff", position + 1)
            if position < 0:
                return


def _is_followed(audio: bytes, position: int, header: _FrameHeader) -> bool:
    after = _header(audio, position + header.size)
    return after is not None and after.goes_with(header)


def _header(audio: bytes, position: int) -> _FrameHeader | None:
    """The header at a position; None if there is none of layer III, or it does not tell a size."""
    if position + 4 > len(audio) or audio[position] != 0xFF:
        return None
    second, third, fourth = audio[position + 1 : position + 4]
    version, layer = second >> 3 & 3, second >> 1 & 3
    bit_rate_index, rate_index = third >> 4, third >> 2 & 3
    if second & 0xE0 != 0xE0 or version == 1 or layer != _LAYER_III:
        return None
    if bit_rate_index in (0, 15) or rate_index == 3:
        return None
    size = _frame_size(version, rate_index, bit_rate_index) + (third >> 1 & 1)
    return _FrameHeader(version, rate_index, size, fourth >> 6 == _MONO)


def _frame_size(version: int, rate_index: int, bit_rate_index: int) -> int:
    """Bytes of a frame without padding: those that its samples take at its bit rate."""
    samples = 1152 if version == 3 else 576
    bit_rate = 1000 * _BIT_RATES[1 if version == 3 else 2][bit_rate_index]
    return samples // 8 * bit_rate // _SAMPLING_RATES[version][rate_index]


def _declared_frames(audio: bytes, position: int, header: _FrameHeader) -> int | None:
    """Number of frames that a first frame tells; None if it holds sound.

    A first frame that is there for other numbers tells none of frames: 0 then.
    """
    xing = position + 4 + header.side_info_bytes
    if audio[xing : xing + 4] in (b"Xing", b"Info"):
        flags = int.from_bytes(audio[xing + 4 : xing + 8], "big")
        return int.from_bytes(audio[xing + 8 : xing + 12], "big") if flags & 1 else 0
    vbri = position + 4 + 32
    if audio[vbri : vbri + 4] == b"VBRI":
        return int.from_bytes(audio[vbri + 14 : vbri + 18], "big")
    return None


def _info_frame(header: _FrameHeader, frames: int) -> bytes:
    """A first frame of the stream of ``header`` that tells the number of frames after it."""
    index = next(
        index
        for index in range(1, 15)
        if _frame_size(header.version, header.rate_index, index) >= _SMALLEST_INFO_FRAME
    )
    channel_mode = _MONO if header.is_mono else 0
    start = bytes(
        [
            0xFF,
            0xE1 | header.version << 3 | _LAYER_III << 1,  # without a checksum
            index << 4 | header.rate_index << 2,
            channel_mode << 6,
        ]
    )
    tag = b"Xing" + struct.pack(">II", 1, frames)
    frame = start + bytes(header.side_info_bytes) + tag
    return frame.ljust(_frame_size(header.version, header.rate_index, index), b"\0")
