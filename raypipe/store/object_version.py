"""What tells the versions of an object apart without reading it."""

from __future__ import annotations

from typing import NamedTuple


class ObjectVersion(NamedTuple):
    """An object as its storage lists it.

    Attributes:
        size: in bytes.
        mark: text that changes with the object: an ETag, or when a file was written.
    """

    size: int
    mark: str
