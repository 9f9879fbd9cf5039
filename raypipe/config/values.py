"""Values in a config: texts that nothing takes, their kinds, and how a message shows them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator

from raypipe.endpoints import endpoint_fault
from raypipe.errors import without_secrets, without_user

_MOST_SHOWN = 80
_LARGEST_SHOWN = 10**40
_LONGEST_PATH = 1024  # bytes; the longest key of an S3 object
_LONGEST_NAME = 255  # bytes of a folder or file


def shortened(value: object) -> str:
    """A value for a message: as Python writes it, cut after 80 characters, however large it is.

    Passwords and their like are left out, see :func:`raypipe.errors.without_secrets`.
    """
    text = ""
    for piece in _pieces(value):
        text += piece
        if len(text) > _MOST_SHOWN:
            return without_secrets(f"{text[:_MOST_SHOWN]}...")
    return without_secrets(text)


def _pieces(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield "{"
        for number, (key, item) in enumerate(value.items()):
            yield ", " if number else ""
            yield from _pieces(key)
            yield ": "
            yield from _pieces(item)
        yield "}"
    elif isinstance(value, list):
        yield "["
        for number, item in enumerate(value):
            yield ", " if number else ""
            yield from _pieces(item)
        yield "]"
    elif isinstance(value, str):
        yield repr(without_secrets(value)[: _MOST_SHOWN + 1])
    elif isinstance(value, bytes):
        yield repr(value[: _MOST_SHOWN + 1])
    elif isinstance(value, int) and not -_LARGEST_SHOWN < value < _LARGEST_SHOWN:
        yield f"a number of {value.bit_length()} bits"  # Python does not write those of any length
    else:
        yield repr(value)


def refusal(document: object) -> str | None:
    """Why a document cannot be a config, in words; None if it may be one.

    Texts can hold what no file name and no table takes.
    """
    try:
        for field, text in _texts(document, ""):
            if "\0" in text:
                return f"{field}: holds a NUL character: {shortened(text)}"
            if not is_unicode(text):
                return f"{field}: holds half of a surrogate pair: {shortened(text)}"
    except RecursionError:
        return "is nested too deeply"
    return None


def _texts(value: object, field: str) -> Iterator[tuple[str, str]]:
    """Name of the field and text, of every text in a document, keys too."""
    if isinstance(value, str):
        yield field or "config", value
    elif isinstance(value, dict):
        for key, item in value.items():
            if isinstance(key, str):
                yield f"{field}." if field else "a key", key
            yield from _texts(item, f"{field}.{key}" if field else str(key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _texts(item, f"{field}.{number}")


def is_unicode(text: str) -> bool:
    """Whether a text can be written in UTF-8: it holds no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _path_of_some_length(path: str) -> str:
    longest = max(len(part.encode()) for part in path.split("/"))
    if len(path.encode()) > _LONGEST_PATH or (
        longest > _LONGEST_NAME and not path.startswith("s3://")
    ):
        raise ValueError(
            f"is longer than a path can be: {_LONGEST_PATH} bytes, {_LONGEST_NAME} of each name"
        )
    if without_user(path) != path:
        raise ValueError("holds a user or a password; configs are kept with the results")
    return path


PathText = Annotated[str, AfterValidator(_path_of_some_length)]
"""Path, ``s3://`` URI or name of something that may lie in a file."""


def _no_fault(endpoint: str) -> str:
    fault = endpoint_fault(endpoint)
    if fault is not None:
        raise ValueError(fault)
    return endpoint


EndpointText = Annotated[str, AfterValidator(_no_fault)]
"""URL of an S3-compatible server, without credentials."""
