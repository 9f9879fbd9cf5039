"""Faults of single lines, which cost only themselves."""

from __future__ import annotations

from raypipe.errors import RaypipeError, unexpected, without_secrets

_SHOWN = 80


class BadLineError(Exception):
    """A line that cannot be used; the reader of its file makes it a failure.

    Args:
        reason: short stable name, stored as ``error_type``.
        message: field and value.
        utterance_id: of the line's clip, where it is known.
    """

    def __init__(self, reason: str, message: str, utterance_id: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.utterance_id = utterance_id


def line_fault(error: Exception, utterance_id: str | None = None) -> BadLineError:
    """The fault of a line for what was raised while it was read, whatever that is.

    Args:
        error: from the line.
        utterance_id: of the line's clip, where the error does not tell it.

    Raises:
        RaypipeError: ``error``, if it is not about the line, such as a storage that refuses.
    """
    if isinstance(error, RaypipeError):
        raise error
    if not isinstance(error, BadLineError):
        return BadLineError(*unexpected(error), utterance_id)
    if error.utterance_id is None and utterance_id is not None:
        return BadLineError(error.reason, str(error), utterance_id)
    return error


def shown(value: object) -> str:
    """A value for a message: quoted, without passwords, and cut if it is long."""
    text = without_secrets(repr(value))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
