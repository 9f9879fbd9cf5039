"""Pages of Ogg files: whether the last one is there, and whether one stream follows another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from raypipe.errors import DecodeError

_MARK = b"OggS"
_FIRST_PAGE, _LAST_PAGE = 0x02, 0x04
_HEADER = 27


@dataclass(frozen=True, slots=True)
class _Page:
    """A page of an Ogg file.

    Attributes:
        start: position in the file.
        end: position after it, by its own account; None where its header is cut.
        flags: as in its header.
    """

    start: int
    end: int | None
    flags: int


def check_ogg_pages(audio: bytes) -> None:
    """Refuse an Ogg file that was cut, or that holds one stream after another.

    libsndfile ends at the first stream's end without a word.

    Raises:
        DecodeError: ``truncated`` for a page that is cut, or a last page that is not marked as the
            end of its stream; ``chained``.
    """
    last: _Page | None = None
    begun = False  # whether a page came that begins no stream
    for page in _pages(audio):
        if page.flags & _FIRST_PAGE and begun:
            raise DecodeError(
                "chained",
                f"another stream begins at byte {page.start}, where only the first would be heard; "
                "ffmpeg -i FILE FILE.wav joins them",
            )
        begun = begun or not page.flags & _FIRST_PAGE
        last = page
    if last is None:
        return
    if last.end is None or last.end > len(audio):
        raise DecodeError("truncated", f"the last Ogg page, at byte {last.start}, is cut short")
    if not last.flags & _LAST_PAGE:
        raise DecodeError(
            "truncated",
            f"the last Ogg page, at byte {last.start}, is not marked as the end of its stream",
        )


def _pages(audio: bytes) -> Iterator[_Page]:
    """Every page; what is none is passed over."""
    start = audio.find(_MARK)
    while start >= 0:
        flags = audio[start + 5] if start + 5 < len(audio) else 0
        table = start + _HEADER
        end = None
        if table <= len(audio):
            count = audio[start + 26]
            lengths = audio[table : table + count]
            end = table + count + sum(lengths) if len(lengths) == count else None
        yield _Page(start, end, flags)
        start = audio.find(_MARK, start + 4 if end is None else end)
