"""How often work that ends its actor is begun again.

Ray gives what a lost actor had to another one, however often: nodes come and go. Work that itself
ends the actor, say by using up a node's memory, would so be begun for ever.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from raypipe.errors import LostEngineError

MOST_LOSSES = 10
"""Actors of a node that may be lost over the same work."""

_logger = logging.getLogger(__name__)


class Attempts:
    """Work that a node's actors have begun and not come to the end of.

    An empty file stands for every attempt, in the node's folder for temporary files: what is lost
    with a node does not count.

    Args:
        stream: name of all work that belongs together, another one for every stream.
    """

    def __init__(self, stream: str) -> None:
        self._folder = Path(tempfile.gettempdir(), f"raypipe-attempts-{stream}")

    @contextmanager
    def begun(self, work: str) -> Iterator[None]:
        """Context of an attempt, which no longer counts at its end, well or badly.

        Args:
            work: what it is about, unique in the stream; it stands in messages.

        Raises:
            LostEngineError: instead of beginning, if too many actors have been lost over it.
        """
        key = hashlib.sha256(work.encode("utf-8", "surrogatepass")).hexdigest()
        notes = list(self._folder.glob(f"{key}.*")) if self._folder.is_dir() else []
        if len(notes) >= MOST_LOSSES:
            self._forget(notes)
            raise LostEngineError(
                f"the actor's process ended {len(notes)} times during {work}, each time without "
                "a word; Ray's logs may say why (most often the node's memory was used up)"
            )
        note = self._folder / f"{key}.{os.getpid()}"
        try:
            self._folder.mkdir(exist_ok=True)
            note.touch()
            notes.append(note)
        except OSError as error:
            _logger.warning("attempts at %s are not counted: %s", work, error)
        try:
            yield
        finally:
            self._forget(notes)

    @contextmanager
    def cleared(self) -> Iterator[None]:
        """Context of the stream, at whose end no attempt of this node is left."""
        try:
            yield
        finally:
            if self._folder.is_dir():
                self._forget(list(self._folder.iterdir()))

    def _forget(self, notes: Iterable[Path]) -> None:
        """Leave nothing behind once all work has come to its end."""
        for note in notes:
            note.unlink(missing_ok=True)
        try:
            self._folder.rmdir()
        except OSError as error:  # other work goes on, or its actor was lost
            _logger.debug("%s stays: %s", self._folder, error)
