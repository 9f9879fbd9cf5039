"""How much one clip, line or text of a source may take, whatever it claims or unpacks to."""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass
from typing import BinaryIO, cast

from raypipe.corpora.bad_line import BadLineError
from raypipe.errors import CorpusError

LONGEST_LINE = 16_000_000
"""Characters of a line of a label file."""

LARGEST_TEXT = 16_000_000
"""Bytes of a text beside a recording: a transcript, the fields of a tar file's sample."""

LARGEST_DOCUMENT = 256_000_000
"""Characters of a label file that can only be read whole, such as JSON."""

MOST_UNPACKED = 200
"""Times its own size that a packed file may hold: text is packed to a tenth, at best a fiftieth."""

ALWAYS_UNPACKED = 100_000_000
"""Bytes that a packed file may hold, however small it is."""


@dataclass(frozen=True, slots=True)
class RecordingLimits:
    """Limits of a clip of a source; one beyond them is a failure.

    Attributes:
        max_duration_s: seconds of a clip; told before it is decoded where its header knows, and
            while it is decoded.
        max_bytes: bytes of a recording as it is stored, with all others of its sample in a tar
            file.
        named: what sets ``max_bytes``, for messages.
    """

    max_duration_s: float = 4 * 3600.0
    max_bytes: int = 1_000_000_000
    named: str = "limits.max_bytes"

    def check_size(self, size: int, name: str) -> None:
        """Refuse a recording that is too large, before it is read.

        Args:
            size: in bytes.
            name: of the recording, for the message.

        Raises:
            BadLineError: ``too_large``.
        """
        if size > self.max_bytes:
            raise BadLineError(
                "too_large", f"{name}: {size:,} bytes, {self.named} is {self.max_bytes:,}"
            )


DEFAULT_LIMITS = RecordingLimits()
"""Those of a config that names none."""


TEXT_LIMITS = RecordingLimits(max_bytes=LARGEST_TEXT, named="the limit of a text")
"""Those of a text beside a recording."""


class TextLimitError(CorpusError):
    """A label file holds a line, or unpacks to a text, that is too long to be one."""


class LongLineError(TextLimitError):
    """A line of a label file is too long to be one; what follows it can be read."""


class LabelText(io.TextIOWrapper):
    """The text of a label file, whose lines have an end.

    Args:
        stream: its bytes.
        name: of the file, for messages.
        encoding: of the text; bytes of another stay visible as lone surrogates.
        newline: as of :func:`open`.
    """

    def __init__(self, stream: BinaryIO, name: str, encoding: str, newline: str | None) -> None:
        super().__init__(stream, encoding, errors="surrogateescape", newline=newline)
        self._file, self._line = name, 0

    def __next__(self) -> str:  # type: ignore[override]  # as of io.TextIOWrapper itself
        """The next line.

        Raises:
            LongLineError: if it is longer than :data:`LONGEST_LINE`; it is then passed over.
        """
        line = self.readline(LONGEST_LINE + 1)
        if not line:
            raise StopIteration
        self._line += 1
        if len(line) > LONGEST_LINE:
            while line and not line.endswith(("\n", "\r")):
                line = self.readline(LONGEST_LINE)
            raise LongLineError(
                f"{self._file} line {self._line} has more than {LONGEST_LINE:,} characters"
            )
        return line

    def document(self) -> str:
        """The whole text.

        Raises:
            TextLimitError: if it is longer than :data:`LARGEST_DOCUMENT`.
        """
        text = self.read(LARGEST_DOCUMENT + 1)
        if len(text) > LARGEST_DOCUMENT:
            raise TextLimitError(f"{self._file} has more than {LARGEST_DOCUMENT:,} characters")
        return text


class UnpackedGzip(io.RawIOBase):
    """The bytes of a gzip file, as long as they are not out of all proportion.

    Args:
        stream: the packed file.
        name: of the file, for messages.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._packed, self._name = stream, name
        self._unpacked = gzip.GzipFile(fileobj=stream)

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """As of any file; backwards it is unpacked again."""
        return self._unpacked.seek(offset, whence)

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """The next bytes.

        Raises:
            TextLimitError: if they are more than the packed file explains.
        """
        data = self._unpacked.read1(len(buffer))  # what came before damage, too
        count = len(data)
        buffer[:count] = data
        held = self._unpacked.tell()
        if held > ALWAYS_UNPACKED and held > MOST_UNPACKED * self._packed.tell():
            raise TextLimitError(
                f"{self._name} unpacks to {held:,} bytes and more, over {MOST_UNPACKED} times its "
                "own size"
            )
        return count


def unpacked(stream: BinaryIO, name: str) -> BinaryIO:
    """The bytes of a gzip file; see :class:`UnpackedGzip`."""
    return cast(BinaryIO, io.BufferedReader(UnpackedGzip(stream, name)))
