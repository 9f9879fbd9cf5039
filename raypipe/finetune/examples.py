"""Training examples of an exported folder: JSON lines with an instruction, a clip and an answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from raypipe.errors import ConfigError
from raypipe.shards.references import is_reference

MANIFEST = "manifest.json"
TRAIN, DEVELOPMENT = "train.jsonl", "development.jsonl"
_FORMAT = 1
_FORBIDDEN_PURPOSE = "test_ii"


@dataclass(frozen=True, slots=True)
class AnswerExample:
    """One clip with an instruction and the answer to be learnt.

    Attributes:
        example_id: utterance id, with the instruction where a clip stands there twice.
        audio: the clip: a file, or a reference into a shard (``….parquet#utterance id``).
        instruction: text of the user's turn.
        answer: text of the assistant's turn.
    """

    example_id: str
    audio: str
    instruction: str
    answer: str


@dataclass(frozen=True, slots=True)
class ExampleSet:
    """What is learnt from and what decides when to stop.

    Attributes:
        train: learnt from.
        development: whose loss is measured; may be empty.
        manifest: of the export.
        fingerprint: SHA-256 over the files of the export but the clips.
    """

    train: tuple[AnswerExample, ...]
    development: tuple[AnswerExample, ...]
    manifest: Mapping[str, object]
    fingerprint: str


def read_examples(folder: str | Path) -> ExampleSet:
    """The examples of an export.

    Raises:
        ConfigError: if there is no export, or one of another format, without training examples,
            with a clip missing, or with rationales of a test set.
    """
    place = Path(folder)
    manifest = _manifest(place)
    digest = hashlib.sha256()
    parts = []
    for name in (TRAIN, DEVELOPMENT):
        file = place / name
        data = file.read_bytes() if file.is_file() else b""
        digest.update(f"{name}:{len(data)}\n".encode() + data)
        parts.append(tuple(_read(file, data)))
    train, development = parts
    if not train:
        raise ConfigError(f"{place} has no examples in {TRAIN}")
    return ExampleSet(train, development, manifest, digest.hexdigest())


def _manifest(place: Path) -> Mapping[str, object]:
    file = place / MANIFEST
    if not file.is_file():
        raise ConfigError(f"{place} has no {MANIFEST}: raypipe export writes such a folder")
    try:
        manifest = json.loads(file.read_bytes())
    except ValueError as error:
        raise ConfigError(f"{file} is not JSON: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != _FORMAT:
        raise ConfigError(f"{file} is not of format {_FORMAT}")
    if _purposes(manifest):
        raise ConfigError(
            f"{file} says purpose {_FORBIDDEN_PURPOSE}: rationales of evaluation clips, made with "
            "their labels, are not trained on"
        )
    return manifest


def _purposes(value: object) -> bool:
    """Whether the forbidden purpose is named anywhere: exports name it by each of their sources."""
    if isinstance(value, dict):
        return any(
            (key == "purpose" and item == _FORBIDDEN_PURPOSE) or _purposes(item)
            for key, item in value.items()
        )
    return isinstance(value, list) and any(_purposes(item) for item in value)


def _read(file: Path, data: bytes) -> Iterator[AnswerExample]:
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        try:
            document = json.loads(line)
        except ValueError as error:
            raise ConfigError(f"{where}: is not JSON: {error}") from error
        yield _example(document, file.parent, where)


def _example(document: object, folder: Path, where: str) -> AnswerExample:
    """An example of one line.

    Raises:
        ConfigError: for anything but a user's turn of one clip and one text, and an assistant's.
    """
    if not isinstance(document, dict):
        raise ConfigError(f"{where}: is no JSON object")
    if document.get("purpose") == _FORBIDDEN_PURPOSE:
        raise ConfigError(f"{where}: purpose {_FORBIDDEN_PURPOSE} is not trained on")
    turns = document.get("messages")
    roles = [turn.get("role") if isinstance(turn, dict) else None for turn in turns or ()]
    if roles != ["user", "assistant"]:
        raise ConfigError(f"{where}: has turns of {roles}, not of user and assistant")
    assert isinstance(turns, list)
    asked, answered = (_contents(turn, where) for turn in turns)
    if sorted(asked) != ["audio", "text"] or list(answered) != ["text"]:
        raise ConfigError(f"{where}: one clip and one text are asked, one text is the answer")
    audio = asked["audio"] if is_reference(asked["audio"]) else str(folder / asked["audio"])
    if not is_reference(audio) and not Path(audio).is_file():
        raise ConfigError(f"{where}: there is no clip {audio}")
    if not answered["text"]:
        raise ConfigError(f"{where}: the answer is empty")
    return AnswerExample(str(document.get("id")), audio, asked["text"], answered["text"])


def _contents(turn: dict[str, object], where: str) -> dict[str, str]:
    """Contents of a turn by their type."""
    parts = turn.get("content")
    if isinstance(parts, str):
        return {"text": parts}
    contents: dict[str, str] = {}
    for part in parts if isinstance(parts, list) else ():
        kind = part.get("type") if isinstance(part, dict) else None
        content = part.get(kind) if isinstance(kind, str) else None
        if kind not in ("audio", "text") or not isinstance(content, str) or kind in contents:
            raise ConfigError(f"{where}: {part!r} is no clip and no text, or a second one")
        contents[str(kind)] = content
    return contents
