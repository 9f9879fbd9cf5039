"""A seal between the pages of a Parquet file and its footer, which page checksums do not cover.

A flipped bit in a footer can rename a column, move a statistic that a filter trusts, or lose the
names of labels. Readers find pages by the footer and pass over what lies between, so any of them
reads a sealed file. The seal holds

========== =================================================================
8 bytes    ``raypipe`` and the version of the seal, 1
32 bytes   SHA-256 of all that stands before the seal: pages and their headers
4 bytes    CRC-32, little-endian, of the 40 bytes above, the footer and its length
========== =================================================================

so that the end of a file answers for its footer, and a whole file for itself. Files without one,
of earlier versions and of other writers, pass.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import Final, Protocol

import pyarrow as pa

_MARK: Final = b"raypipe\x01"
_SEAL_BYTES: Final = len(_MARK) + 32 + 4
_TAIL_BYTES: Final = 8
_PARQUET: Final = b"PAR1"
_READ_AT_ONCE: Final = 1 << 16


class SeekableStream(Protocol):
    """An open file, of Python or of pyarrow."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a place."""
        ...

    def read(self, size: int = -1, /) -> bytes:
        """So many bytes from here on."""
        ...


def sealed(file: bytes) -> bytes:
    """A Parquet file with its seal."""
    start = len(file) - _footer_bytes(file[-_TAIL_BYTES:])
    head = _MARK + hashlib.sha256(memoryview(file)[:start]).digest()
    return b"".join((file[:start], head, _crc(head, file[start:]), file[start:]))


def is_sealed(file: bytes) -> bool:
    """Whether a whole Parquet file has a seal."""
    start = len(file) - _footer_bytes(file[-_TAIL_BYTES:])
    return file[max(start - _SEAL_BYTES, 0) : start].startswith(_MARK)


def check_whole(file: bytes) -> None:
    """Compare a whole file with its seal, if it has one.

    Raises:
        pyarrow.ArrowInvalid: if it has changed since it was written.
    """
    start = len(file) - _footer_bytes(file[-_TAIL_BYTES:])
    _check_end(file[max(start - _SEAL_BYTES, 0) :], len(file) - start)
    if is_sealed(file):
        pages = memoryview(file)[: start - _SEAL_BYTES]
        kept = file[start - _SEAL_BYTES + len(_MARK) : start - 4]
        if hashlib.sha256(pages).digest() != kept:
            raise pa.ArrowInvalid("its pages have changed since they were written")


def check_footer(stream: SeekableStream) -> None:
    """Compare a file's footer with its seal, if it has one; only the file's end is read.

    Args:
        stream: at any place; where it stands afterwards is not said.

    Raises:
        pyarrow.ArrowInvalid: if it has changed since it was written, or is no Parquet file's.
    """
    size = stream.seek(0, 2)
    read = min(size, _READ_AT_ONCE)
    stream.seek(size - read)
    end = stream.read(read)
    needed = min(_footer_bytes(end[-_TAIL_BYTES:]) + _SEAL_BYTES, size)
    if needed > read:
        stream.seek(size - needed)
        end = stream.read(needed)
    _check_end(end[-needed:], _footer_bytes(end[-_TAIL_BYTES:]))


def _check_end(end: bytes, footer_bytes: int) -> None:
    """Compare seal and footer; ``end`` begins with the seal, if there is one."""
    if footer_bytes > len(end):
        raise pa.ArrowInvalid("it is cut short, or its end has changed since it was written")
    seal, footer = end[: len(end) - footer_bytes], end[len(end) - footer_bytes :]
    if seal.startswith(_MARK) and seal[-4:] != _crc(seal[:-4], footer):
        raise pa.ArrowInvalid("its footer has changed since it was written")


def _footer_bytes(tail: bytes) -> int:
    """Size of a footer with its length and the mark of Parquet, from the last bytes of a file."""
    if len(tail) < _TAIL_BYTES or tail[4:] != _PARQUET:
        raise pa.ArrowInvalid("it does not end as a Parquet file does")
    return int.from_bytes(tail[:4], "little") + _TAIL_BYTES


def _crc(head: bytes, footer: bytes) -> bytes:
    return zlib.crc32(footer, zlib.crc32(head)).to_bytes(4, "little")
