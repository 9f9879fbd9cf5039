"""Tar files read from front to back: nothing is unpacked, links lead nowhere, sizes have limits."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from tarfile import EOFHeaderError, HeaderError, ReadError  # type: ignore[attr-defined]
from typing import BinaryIO, Self

from raypipe.corpora.limits import ALWAYS_UNPACKED, MOST_UNPACKED

_LONGEST_HEADER = 1_000_000  # bytes of a long name or of other facts about a member
_HEADERS = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)


class _CheckedMember(tarfile.TarInfo):
    """A member whose header, if it is cut or damaged, tarfile would take for the end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        member = super().frombuf(buf, encoding, errors)
        if member.type in _HEADERS and member.size > _LONGEST_HEADER:
            raise HeaderError(f"a header of {member.size:,} bytes")
        return member

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile)
        except HeaderError as error:
            if isinstance(error, EOFHeaderError):
                raise
            raise ReadError(f"{error}, where a member or the end mark is due") from error


def open_tar(stream: BinaryIO) -> tarfile.TarFile:
    """A tar file, packed or not, to read once.

    Raises:
        Exception: of tarfile and of what it is packed with, here and later; a damaged one may raise
            anything.
    """
    return tarfile.open(fileobj=stream, mode="r|*", tarinfo=_CheckedMember)


def members_of(tar: tarfile.TarFile, size: int) -> Iterator[tarfile.TarInfo]:
    """Its members, of whatever kind.

    Args:
        tar: just opened.
        size: of the file, in bytes.

    Raises:
        ReadError: where they take more than a file of this size explains; as :func:`open_tar`.
    """
    held = 0
    for member in tar:
        held += member.size
        if held > ALWAYS_UNPACKED and held > MOST_UNPACKED * size:
            raise ReadError(
                f"its members take {held:,} bytes, over {MOST_UNPACKED} times its own size"
            )
        yield member


def content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """A member's bytes.

    Raises:
        EOFError: if the file ends before they do.
    """
    stream = tar.extractfile(member)
    data = b"" if stream is None else stream.read()
    if len(data) != member.size:
        raise EOFError(f"{member.name} ends after {len(data)} of {member.size} bytes")
    return data
