"""A table that does something bad to the process that reads it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from child_worker import ENDS

from raypipe.corpora.containers import ClipEntry
from raypipe.corpora.hf_table import TableFile
from raypipe.corpora.limits import RecordingLimits
from raypipe.records import Failure, Utterance

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class PoisonedTable(TableFile):
    """A table that does something to the process that reads beyond a row."""

    row: int = 0
    deed: str = "segfault"
    also_listed: bool = False

    def scan_here(self) -> Iterator[ClipEntry]:
        yield from self._up_to_row(TableFile.scan_here(self), self.also_listed)

    def read_here(self, limits: RecordingLimits) -> Iterator[Utterance | Failure]:
        yield from self._up_to_row(TableFile.read_here(self, limits), True)

    def _up_to_row(self, items: Iterator[Item], is_poison: bool) -> Iterator[Item]:
        for number, item in enumerate(items):
            if is_poison and number == self.row:
                ENDS[self.deed]()
            yield item
