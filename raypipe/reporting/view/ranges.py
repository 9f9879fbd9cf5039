"""The ``Range`` header (RFC 9110, section 14): browsers seek in a recording with it."""

from __future__ import annotations

import re
from typing import Final

_SINGLE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


def asked_range(header: str | None, size: int) -> range | None:
    """The bytes that are asked for.

    Several ranges at once, and units other than bytes, are answered with the whole, as the standard
    allows.

    Args:
        header: as it came; None without one.
        size: of the whole, in bytes.

    Returns:
        Their places; an empty range for one that lies outside; None for the whole.

    Example:
        >>> asked_range("bytes=2-", 10), asked_range("bytes=-3", 10), asked_range("bytes=10-", 10)
        (range(2, 10), range(7, 10), range(0, 0))
        >>> asked_range(None, 10) is asked_range("bytes=1-2,4-5", 10) is None
        True
    """
    match = None if header is None else _SINGLE.fullmatch(header.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        length = min(int(match[2]), size)
        return range(size - length, size) if length else range(0)
    start, last = int(match[1]), int(match[2]) if match[2] else size - 1
    if last < start and match[2]:
        return None  # not a range at all: as if it had not been asked
    return range(start, min(last + 1, size)) if start < size else range(0)
