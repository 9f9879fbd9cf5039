"""Cache of answers by what was asked, so that a repeated question costs nothing."""

from __future__ import annotations

from raypipe.engines.engine import Folder
from raypipe.engines.openai.replies import BadReplyError, Reply, read_reply
from raypipe.errors import ObjectMissingError


class ResponseCache:
    """Bodies of good answers, as they came; only what could be read as an answer is kept.

    Args:
        objects: a local folder or an object-storage prefix; several runs may share it.
    """

    def __init__(self, objects: Folder) -> None:
        self._objects = objects

    def find(self, name: str) -> Reply | None:
        """Answer of that name; None if there is none or it was damaged since."""
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
