"""Users' own data as Lhotse Shar: ``cuts.000000.jsonl.gz`` with ``recording.000000.tar`` beside it.

A member of the tar file is the audio of the cut it is named after, all of it, in the cuts' order;
the ``.json`` after it repeats the recording's manifest. ``.nodata`` stands for a cut without audio.
"""

from __future__ import annotations

import posixpath
import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from raypipe.corpora.containers import Held, found_files
from raypipe.corpora.dialects import supervised
from raypipe.corpora.fields import BadLineError, Rules, shown, utterance_id
from raypipe.corpora.manifest import json_records, text_of, until_torn
from raypipe.corpora.pending import failure, in_order, measured
from raypipe.corpora.webdataset import content
from raypipe.errors import CorpusError, ObjectMissingError
from raypipe.labels import LabelSet
from raypipe.records import Failure, Utterance
from raypipe.store.location import Location

_CUTS = re.compile(r"cuts\.(?P<number>\d+)\.jsonl(?:\.gz)?")
_NOT_AUDIO = (".json", ".nodata", ".nometa")


@dataclass(frozen=True, slots=True)
class _Cut:
    """A line of the cuts' file."""

    line: int
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Sound:
    """A member of the tar file; without its bytes where only the size was asked for."""

    name: str
    size: int
    audio: bytes


@dataclass(frozen=True, slots=True)
class Shar:
    """One shard; see :class:`raypipe.corpora.containers.Container`.

    Its cuts are held in memory, some thousand as Lhotse writes it; the audio is streamed.
    """

    place: Location
    name: str
    rules: Rules

    @property
    def recordings(self) -> str:
        """Name of the tar file."""
        number = _CUTS.fullmatch(self.name)
        return f"recording.{number['number'] if number else ''}.tar"

    def scan(self) -> Iterator[Held]:
        """Ids and sizes; the audio is passed over."""
        for one in self._joined(with_audio=False):
            if isinstance(one, Failure):
                yield Held(one.utterance_id, 0)
            else:
                yield Held(one[1].name, one[1].size)

    def read(self) -> Iterator[Utterance | Failure]:
        """Utterances, and failures that name file and line."""
        yield from in_order(self._utterance, self._joined(with_audio=True))

    def position(self, number: int) -> str:
        """File and place in it, counted from 1."""
        return f"{self.name} cut {number + 1}"

    def _utterance(self, one: Failure | tuple[_Cut, _Sound]) -> Utterance | Failure:
        if isinstance(one, Failure):
            return one
        cut, sound = one
        try:
            return measured(self.rules.utterance(cut.fields, sound.name), sound.audio)
        except BadLineError as error:
            return failure(self.name, cut.line, sound.name, error.reason, str(error))

    def _joined(self, *, with_audio: bool) -> Iterator[Failure | tuple[_Cut, _Sound]]:
        """Bad lines, then every recording with its cut, then the cuts left without one."""
        cuts: dict[str, _Cut] = {}
        yield from self._cuts(cuts)
        for sound in self._sounds(with_audio):
            if isinstance(sound, Failure):
                yield sound
            elif sound.name in cuts:
                yield cuts.pop(sound.name), sound
            else:
                message = f"{shown(sound.name)} is no cut of {self.name}, or came before"
                yield failure(self.recordings, None, sound.name, "no_votes", message)
        for name, cut in cuts.items():
            message = f"{shown(name)} is not in {self.recordings}"
            yield failure(self.name, cut.line, name, "missing_audio", message)

    def _cuts(self, cuts: dict[str, _Cut]) -> Iterator[Failure]:
        with (
            _opened(self.place, self.name) as stream,
            text_of(stream, self.name) as text,
        ):
            for line, record in until_torn(json_records(text, dialects=False)):
                name = None
                try:
                    if isinstance(record, BadLineError):
                        raise record
                    name = utterance_id({"id": record.get("id")})
                    if name in cuts:
                        message = f"{shown(name)} is also in line {cuts[name].line}"
                        raise BadLineError("duplicate_id", message)
                    cuts[name] = _Cut(line, supervised(record.get("supervisions", [])))
                except BadLineError as error:
                    yield failure(self.name, line, name, error.reason, str(error))

    def _sounds(self, with_audio: bool) -> Iterator[_Sound | Failure]:
        last: _Sound | None = None
        with _opened(self.place, self.recordings) as stream:
            try:
                with tarfile.open(fileobj=stream, mode="r|*") as tar:
                    for member in tar:
                        # Only what comes after a member shows that all of it is there.
                        if last is not None:
                            yield last
                            last = None
                        name, ending = posixpath.splitext(posixpath.normpath(member.name))
                        if member.isfile() and ending.lower() not in _NOT_AUDIO:
                            audio = content(tar, member) if with_audio else b""
                            last = _Sound(name, member.size, audio)
                if last is not None:
                    yield last
            except (tarfile.TarError, EOFError, OSError) as error:
                message = f"the tar file is torn from here on: {error}"
                yield failure(self.recordings, None, None, "bad_tar", message)


def shar_files(
    uri: str,
    labels: LabelSet,
    *,
    endpoint: str | None = None,
    dataset: str | None = None,
    other_labels: Iterable[str] = (),
) -> list[Shar]:
    """The shards a user means.

    Args:
        uri: a folder, or ``cuts.000000.jsonl.gz`` in it, or several as
            ``cuts.{000000..000007}.jsonl.gz``.
        labels: the label set; votes are matched through its aliases.
        endpoint: S3 server; default: the environment's.
        dataset: name of the corpus; default: the folder's.
        other_labels: words outside the label set that votes may hold; they do not count.

    Raises:
        CorpusError: if there are no cuts.
    """
    found = found_files(uri, (".jsonl", ".jsonl.gz"), endpoint)
    cuts = [(place, name) for place, name in found if _CUTS.fullmatch(name)]
    if not cuts:
        raise CorpusError(f"there is no cuts.000000.jsonl.gz in {uri}")
    others = frozenset(word.strip().lower() for word in other_labels)
    corpus = dataset or posixpath.basename(cuts[0][0].uri)
    return [Shar(place, name, Rules(labels, others, corpus)) for place, name in cuts]


def _opened(place: Location, name: str) -> Any:
    try:
        return place.open(name)
    except ObjectMissingError as error:
        raise CorpusError(f"there is no {place.uri}/{name}") from error
