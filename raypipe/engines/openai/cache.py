"""Answers by what was asked, so that asking again costs nothing."""

from __future__ import annotations

from typing import Protocol

from raypipe.engines.openai.replies import BadReplyError, Reply, read_reply
from raypipe.errors import ObjectMissingError


class Objects(Protocol):
    """The part of :class:`raypipe.store.location.Location` that a cache needs."""

    def read(self, name: str) -> bytes:
        """A whole object; ObjectMissingError if there is none."""
        ...

    def create(self, name: str, data: bytes) -> bool:
        """Publish an object in one step unless the name is taken; whether this call did it."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Publish an object in one step, in place of what the name held."""
        ...


class ResponseCache:
    """Bodies of good answers, as they came; only what could be read as an answer is kept.

    Args:
        objects: a local folder or an object-storage prefix; several runs may share it.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def find(self, name: str) -> Reply | None:
        """The answer of that name, or None. One that was damaged since counts as not there."""
        try:
            return read_reply(self._objects.read(name))
        except (ObjectMissingError, BadReplyError):
            return None

    def keep(self, name: str, body: bytes, reply: Reply) -> Reply:
        """Keep an answer; the one that counts from now on, which is the first one kept."""
        if self._objects.create(name, body):
            return reply
        first = self.find(name)
        if first is not None:
            return first
        self._objects.write(name, body)
        return reply
