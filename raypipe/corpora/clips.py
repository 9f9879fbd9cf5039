"""From what a label file says about a clip to the clip itself: found, read, measured."""

from __future__ import annotations

import posixpath
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from raypipe.audio import AudioLimits, decode, read_header
from raypipe.corpora.fields import BadLineError, shown
from raypipe.corpora.lines import checked_text
from raypipe.errors import CorpusError, DecodeError, ObjectMissingError
from raypipe.records import Failure, Utterance
from raypipe.shards import RowFailure
from raypipe.store.location import Location

Item = TypeVar("Item")
Result = TypeVar("Result")

AUDIO_SUFFIXES = (".wav", ".flac", ".aiff", ".aif", ".ogg", ".opus", ".mp3", ".mp4", ".m4a", ".avi")
"""In the order in which a clip that lies there in several formats is taken."""

_VIDEO_SUFFIXES = (".mp4", ".m4a", ".avi")
_READERS = 8
# At ingest only what cannot be a recording at all is refused; a run has limits of its own.
_INGEST_LIMITS = AudioLimits(max_duration_s=24 * 3600.0, max_channels=64)
_LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True, slots=True)
class Listed:
    """A clip as the label files know it, before its audio is read.

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


def failure(
    file: str, line: int | None, utterance_id: str | None, reason: str, message: str
) -> Failure:
    """A clip's failure that names file and line."""
    if line is None:
        return Failure(utterance_id, "ingest", reason, f"{file}: {message}")
    return RowFailure(utterance_id, "ingest", reason, f"{file} line {line}: {message}", line)


class Tree:
    """The files of a corpus, listed once.

    Args:
        source: the corpus's folder.

    Raises:
        CorpusError: if there is nothing in it.
        StoreError: if it cannot be listed.
    """

    def __init__(self, source: Location) -> None:
        self.source = source
        self.names = source.list("")
        if not self.names:
            raise CorpusError(f"there is nothing in {source.uri}")
        self._audio: dict[str, list[str]] = {}
        for name in self.names:
            stem, suffix = posixpath.splitext(posixpath.basename(name))
            if suffix.lower() in AUDIO_SUFFIXES:
                self._audio.setdefault(stem, []).append(name)
        for found in self._audio.values():
            found.sort(key=_preference)

    def find(self, *file_names: str) -> str | None:
        """The file of one of these names, whatever its case.

        The least deep is taken, as corpora keep older releases in folders below; then the first of
        the names.
        """
        ranks = {wanted.lower(): rank for rank, wanted in enumerate(file_names)}
        found = [
            (name.count("/"), ranks[base], name)
            for name in self.names
            if (base := posixpath.basename(name).lower()) in ranks
        ]
        return min(found)[2] if found else None

    def need(self, *file_names: str) -> str:
        """As :meth:`find`.

        Raises:
            CorpusError: if there is none.
        """
        found = self.find(*file_names)
        if found is None:
            raise CorpusError(f"there is no {' or '.join(file_names)} in {self.source.uri}")
        return found

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
            found = [name for name in names if _below(name, folder)]
            if found:
                yield stem, found


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
    parse: Callable[[int, Item], Listed | None],
    name_of: Callable[[Item], str | None],
) -> Iterator[Listed | Failure]:
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
        except BadLineError as error:
            name = None if isinstance(record, BadLineError) else name_of(record)
            yield failure(file, line, name, error.reason, str(error))
        else:
            if listed is not None:
                yield listed


def attach_audio(tree: Tree, listed: Iterable[Listed | Failure]) -> Iterator[Utterance | Failure]:
    """Read every clip's audio, a few clips ahead; a second clip of one id is a failure."""
    yield from in_order(partial(_with_audio, tree), _unique(listed))


def _unique(listed: Iterable[Listed | Failure]) -> Iterator[Listed | Failure]:
    places: dict[str, tuple[str, int | None]] = {}
    for one in listed:
        if isinstance(one, Failure):
            yield one
            continue
        name = one.utterance.utterance_id
        file, line = places.setdefault(name, (one.file, one.line))
        if (file, line) == (one.file, one.line):
            yield one
        else:
            before = file if line is None else f"{file} line {line}"
            message = f"{shown(name)} came before, in {before}"
            yield failure(one.file, one.line, name, "duplicate_id", message)


def _with_audio(tree: Tree, listed: Listed | Failure) -> Utterance | Failure:
    if isinstance(listed, Failure):
        return listed
    try:
        transcript = _transcript(tree, listed)
        audio = _audio(tree, listed)
        sampling_rate, duration_s = rate_and_duration(audio)
    except BadLineError as error:
        reason = error.reason
        message = str(error)
    except DecodeError as error:
        name = tree.audio(listed.stem, listed.folder)
        reason, message = error.code, f"audio {shown(name)}: {error}"
    else:
        return replace(
            listed.utterance,
            audio=audio,
            sampling_rate=sampling_rate,
            duration_s=duration_s,
            transcript=transcript,
        )
    return failure(listed.file, listed.line, listed.utterance.utterance_id, reason, message)


def _transcript(tree: Tree, listed: Listed) -> str | None:
    if listed.transcript_file is None:
        return listed.utterance.transcript
    try:
        text = tree.source.read(listed.transcript_file).decode("utf-8-sig", "surrogateescape")
    except ObjectMissingError as error:
        raise BadLineError("missing_transcript", f"transcript: {error}") from error
    return checked_text(text, f"transcript {listed.transcript_file} line 1") or None


def _audio(tree: Tree, listed: Listed) -> bytes:
    name = tree.audio(listed.stem, listed.folder)
    if name is None:
        below = f" below {listed.folder}" if listed.folder else ""
        raise BadLineError("missing_audio", f"there is no recording {shown(listed.stem)}{below}")
    suffix = posixpath.splitext(name)[1].lower()
    if suffix in _VIDEO_SUFFIXES:
        raise BadLineError(
            "video",
            f"{name} must be made audio first: "
            f"ffmpeg -i {posixpath.basename(name)} -vn -ac 1 {listed.stem}.wav",
        )
    try:
        audio = tree.source.read(name)
    except ObjectMissingError as error:
        raise BadLineError("missing_audio", f"audio: {error}") from error
    if audio.startswith(_LFS_POINTER):
        raise BadLineError("lfs_pointer", f"{name} is a pointer of Git LFS; run `git lfs pull`")
    return audio


def rate_and_duration(audio: bytes) -> tuple[int, float]:
    """Sampling rate in Hz and duration in seconds of an encoded clip.

    Raises:
        DecodeError: if it cannot be a recording.
    """
    header = read_header(audio, _INGEST_LIMITS)
    if header.duration_s is not None:
        return header.sampling_rate, header.duration_s
    samples = decode(audio, sampling_rate=header.sampling_rate, limits=_INGEST_LIMITS)
    return header.sampling_rate, len(samples) / header.sampling_rate


def measured(utterance: Utterance, audio: bytes) -> Utterance:
    """An utterance with its audio, sampling rate and duration.

    Raises:
        BadLineError: with the reason why it cannot be a recording.
    """
    try:
        sampling_rate, duration_s = rate_and_duration(audio)
    except DecodeError as error:
        raise BadLineError(error.code, f"audio: {error}") from error
    return replace(utterance, audio=audio, sampling_rate=sampling_rate, duration_s=duration_s)


def in_order(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """``map`` with a few threads ahead, so that slow storage is waited for side by side."""
    with ThreadPoolExecutor(_READERS) as pool:
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) == 2 * _READERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def label_of(word: str, words: Mapping[str, str], what: str) -> str:
    """The label that a corpus's own word or code stands for, case and outer blanks ignored.

    Raises:
        BadLineError: ``unknown_label``.
    """
    found = words.get(word.strip().lower())
    if found is None:
        raise BadLineError("unknown_label", f"{what}: {shown(word)} is none of {', '.join(words)}")
    return found
