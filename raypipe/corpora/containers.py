"""Files that hold many clips with their audio inside: tar files, tables."""

from __future__ import annotations

import itertools
import os
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from raypipe.corpora.braces import expanded
from raypipe.corpora.limits import DEFAULT_LIMITS, RecordingLimits
from raypipe.errors import CorpusError
from raypipe.records import Failure, Utterance
from raypipe.store.location import Location


@dataclass(frozen=True, slots=True)
class ClipEntry:
    """Id and size of a clip in a container, known without its audio.

    Attributes:
        utterance_id: None where it has no id.
        size: bytes of audio, maybe an estimate; 0 where there is none.
        is_derived: whether the id is made from the name of a file or the position of a row, which
            another container may have as well.
    """

    utterance_id: str | None
    size: int
    is_derived: bool = False


class Container(Protocol):
    """A file with many clips; it can be pickled to where it is read."""

    @property
    def place(self) -> Location:
        """Folder of the file."""
        ...

    @property
    def name(self) -> str:
        """Name of the file in its folder."""
        ...

    def scan(self) -> Iterator[ClipEntry]:
        """Every clip in order, one entry for each result of :meth:`read`.

        Raises:
            CorpusError: if the file is missing or not what its name says.
            StoreError: if the storage refuses.
        """
        ...

    def read(self, limits: RecordingLimits = DEFAULT_LIMITS) -> Iterator[Utterance | Failure]:
        """Every clip in order with its audio, in one pass; raises as :meth:`scan`."""
        ...

    def position(self, number: int) -> str:
        """Position of clip ``number``, counted from 0, in words."""
        ...


def container_labels(containers: Sequence[Container]) -> list[str]:
    """Path of each container below the folder that all of them lie in, without its ending.

    Example of two: ``train/000`` and ``test/000``.
    """
    folders = [container.place.uri.split("/") for container in containers]
    common = list(
        itertools.takewhile(lambda names: len({*names}) == 1, zip(*folders, strict=False))
    )
    return [
        "/".join([*folder[len(common) :], posixpath.splitext(container.name)[0]])
        for folder, container in zip(folders, containers, strict=True)
    ]


def found_files(
    uri: str, endings: tuple[str, ...], endpoint: str | None, allow: Sequence[Location] = ()
) -> list[tuple[Location, str]]:
    """The files that a user means.

    Args:
        uri: a file, files as ``x-{000..007}.tar``, or a folder, of which all files with these
            endings are taken, at any depth, in the order of their names.
        endings: with their dots, in lower case.
        endpoint: S3 server.
        allow: places beside its own that links may lead to.

    Raises:
        CorpusError: for a folder without any.
        ConfigError: if it is no location.
    """
    if uri.lower().endswith(endings):
        return [_named_file(name, endpoint, allow) for name in expanded(uri)]
    folder = Location.parse(uri, endpoint).confined(allow)
    names = [name for name in folder.list("") if name.lower().endswith(endings)]
    if not names:
        raise CorpusError(f"there is no {' or '.join(endings)} file in {folder.uri}")
    places = (posixpath.split(name) for name in names)
    return [(folder.child(below) if below else folder, base) for below, base in places]


def _named_file(uri: str, endpoint: str | None, allow: Sequence[Location]) -> tuple[Location, str]:
    """Place and name of a file that the user named, who may name a link."""
    place, name = Location.parse_object(uri, endpoint)
    if place.is_s3:
        return place, name
    target = Location(os.path.realpath(f"{place.uri}/{name}"))
    return place.confined([*allow, target]), name
