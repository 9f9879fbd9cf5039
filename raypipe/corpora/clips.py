"""The clips of a corpus's label files, and the recordings that belong to them."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from raypipe.audio.media import can_read_media
from raypipe.corpora.bad_line import BadLineError, line_fault, shown
from raypipe.corpora.pending import PendingClip

# What adapters and readers need, in one place.
from raypipe.corpora.pending import failure as failure
from raypipe.corpora.pending import in_order as in_order
from raypipe.corpora.pending import measured as measured
from raypipe.errors import CorpusError
from raypipe.installation import install_hint
from raypipe.records import Failure, Utterance
from raypipe.store.location import Location

Item = TypeVar("Item")

_MEDIA_SUFFIXES = (".mp4", ".m4a", ".avi", ".aac", ".mov", ".mkv", ".webm")

AUDIO_SUFFIXES = (
    *(".wav", ".flac", ".aiff", ".aif", ".ogg", ".opus", ".mp3"),
    *_MEDIA_SUFFIXES,
)
"""In the order in which a clip that lies there in several formats is taken."""


@dataclass(frozen=True, slots=True)
class ListedClip:
    """A clip of a label file, before its audio is read.

    Attributes:
        utterance: everything but the audio.
        stem: name of the audio file without folder and ending.
        file: the label file that names it; the audio file itself where there is none.
        line: in that file; None where there is none.
        folder: part of the path that the audio must have, for stems that are not unique.
        transcript_file: a file whose text is the transcript, None if there is none.
    """

    utterance: Utterance
    stem: str
    file: str
    line: int | None = None
    folder: str = ""
    transcript_file: str | None = None


class FileTree:
    """The files of a corpus, listed once.

    Args:
        source: the corpus's folder.

    Attributes:
        sizes: of every file, in bytes, by name.
        names: of all files, in sorted order.

    Raises:
        CorpusError: if there is nothing in it.
        StoreError: if it cannot be listed.
    """

    def __init__(self, source: Location) -> None:
        self.source = source
        self.sizes = source.sizes()
        self.names = list(self.sizes)
        if not self.names:
            raise CorpusError(f"there is nothing in {source.uri}")
        self._audio: dict[str, list[str]] = {}
        for name in self.names:
            stem, suffix = posixpath.splitext(posixpath.basename(name))
            if suffix.lower() in AUDIO_SUFFIXES:
                self._audio.setdefault(stem, []).append(name)
        for names in self._audio.values():
            names.sort(key=_preference)

    def find(self, *file_names: str) -> str | None:
        """The file of one of these names, whatever its case.

        The least deep is taken, as corpora keep older releases in folders below; then the first of
        the names.
        """
        ranks = {wanted.lower(): rank for rank, wanted in enumerate(file_names)}
        candidates = [
            (name.count("/"), ranks[base], name)
            for name in self.names
            if (base := posixpath.basename(name).lower()) in ranks
        ]
        return min(candidates)[2] if candidates else None

    def need(self, *file_names: str) -> str:
        """As :meth:`find`.

        Raises:
            CorpusError: if there is none.
        """
        name = self.find(*file_names)
        if name is None:
            raise CorpusError(f"there is no {' or '.join(file_names)} in {self.source.uri}")
        return name

    def audio(self, stem: str, folder: str = "") -> str | None:
        """The audio file of a clip, by its name without folder and ending."""
        return next((name for name in self._audio.get(stem, ()) if _below(name, folder)), None)

    def texts(self, folder: str = "") -> dict[str, str]:
        """The ``.txt`` files below a folder, by their name without folder and ending."""
        return {
            posixpath.splitext(posixpath.basename(name))[0]: name
            for name in self.names
            if name.lower().endswith(".txt") and _below(name, folder)
        }

    def recordings(self, folder: str = "") -> Iterator[tuple[str, list[str]]]:
        """Stem and files of every recording below a folder, in the order of stems."""
        for stem, names in sorted(self._audio.items()):
            inside = [name for name in names if _below(name, folder)]
            if inside:
                yield stem, inside


def _below(name: str, folder: str) -> bool:
    return not folder or f"/{folder.lower()}/" in f"/{name.lower()}"


def _preference(name: str) -> tuple[int, int, str]:
    suffix = posixpath.splitext(name)[1].lower()
    return AUDIO_SUFFIXES.index(suffix), name.count("/"), name


def copies(stem: str, names: list[str]) -> Iterator[Failure]:
    """Further files of the same name and format, which some re-uploads have."""
    first, *others = names
    for name in others:
        if posixpath.splitext(name)[1] == posixpath.splitext(first)[1]:
            yield failure(name, None, stem, "duplicate_id", f"{stem} is also in {first}")


def parsed(
    file: str,
    records: Iterable[tuple[int, Item | BadLineError]],
    parse: Callable[[int, Item], ListedClip | None],
    name_of: Callable[[Item], str | None],
) -> Iterator[ListedClip | Failure]:
    """The clips of a label file; a record that cannot be used is a failure in its place.

    Args:
        file: name of the label file.
        records: line numbers and records.
        parse: a record's clip, None for one that is not asked for; may raise BadLineError.
        name_of: the clip's id, as far as it can be told, for the failure.
    """
    for line, record in records:
        try:
            if isinstance(record, BadLineError):
                raise record
            listed = parse(line, record)
        except Exception as error:
            fault = line_fault(error)
            name = None
            if fault is error and not isinstance(record, BadLineError):
                name = name_of(record)
            yield failure(file, line, name, fault.reason, str(fault))
        else:
            if listed is not None:
                yield listed


def pending(
    tree: FileTree, listed: Iterable[ListedClip | Failure]
) -> Iterator[PendingClip | Failure]:
    """Find every clip's recording among the files; a second clip of one id is a failure."""
    for clip in _unique(listed):
        yield clip if isinstance(clip, Failure) else _placed(tree, clip)


def _unique(listed: Iterable[ListedClip | Failure]) -> Iterator[ListedClip | Failure]:
    places: dict[str, tuple[str, int | None]] = {}
    for clip in listed:
        if isinstance(clip, Failure):
            yield clip
            continue
        name = clip.utterance.utterance_id
        file, line = places.setdefault(name, (clip.file, clip.line))
        if (file, line) == (clip.file, clip.line):
            yield clip
        else:
            before = file if line is None else f"{file} line {line}"
            message = f"{shown(name)} came before, in {before}"
            yield failure(clip.file, clip.line, name, "duplicate_id", message)


def _placed(tree: FileTree, listed: ListedClip) -> PendingClip | Failure:
    file, line, name = listed.file, listed.line, listed.utterance.utterance_id
    recording = tree.audio(listed.stem, listed.folder)
    if recording is None:
        below = f" below {listed.folder}" if listed.folder else ""
        message = f"there is no recording {shown(listed.stem)}{below}"
        return failure(file, line, name, "missing_audio", message)
    if posixpath.splitext(recording)[1].lower() in _MEDIA_SUFFIXES and not can_read_media():
        message = (
            f"{recording} is read with extra media ({install_hint('media')}); or make it audio "
            f"first: ffmpeg -i {posixpath.basename(recording)} -vn -ac 1 {listed.stem}.wav"
        )
        return failure(file, line, name, "video", message)
    return PendingClip(
        listed.utterance,
        tree.source,
        recording,
        file,
        line,
        path=recording,
        size=tree.sizes[recording],
        transcript_file=listed.transcript_file,
    )


def label_of(word: str, words: Mapping[str, str], what: str) -> str:
    """The label that a corpus's own word or code stands for, case and outer blanks ignored.

    Raises:
        BadLineError: ``unknown_label``.
    """
    label = words.get(word.strip().lower())
    if label is None:
        raise BadLineError("unknown_label", f"{what}: {shown(word)} is none of {', '.join(words)}")
    return label
