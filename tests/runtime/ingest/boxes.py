"""Containers that are only listed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from raypipe.corpora.containers import ClipEntry
from raypipe.errors import CorpusError
from raypipe.records import Failure, Utterance
from raypipe.store.location import Location

HERE = Location("/nowhere")


@dataclass(frozen=True)
class Box:
    """A container that is only listed."""

    name: str
    held: tuple[ClipEntry, ...]
    place: Location = HERE

    def scan(self) -> Iterator[ClipEntry]:
        yield from self.held

    def read(self, limits: object = None) -> Iterator[Utterance | Failure]:
        raise AssertionError("a plan reads no audio")

    def position(self, number: int) -> str:
        return f"{self.name} clip {number + 1}"


def box(name: str, *names: str | None) -> Box:
    return Box(name, tuple(ClipEntry(one, 10) for one in names))


def derived(name: str, *names: str | None) -> Box:
    return Box(name, tuple(ClipEntry(one, 10, is_derived=True) for one in names))


@dataclass(frozen=True)
class TornBox(Box):
    """A container that cannot be listed to its end."""

    def scan(self) -> Iterator[ClipEntry]:
        yield from self.held
        raise CorpusError(f"{self.name} is torn")
