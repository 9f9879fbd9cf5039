"""Consensus, speaker and split of a clip from MSP-Podcast's files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from raypipe.corpora.clips import FileTree, failure, label_of
from raypipe.corpora.facts import gender
from raypipe.corpora.fields import BadLineError, rating, shown
from raypipe.corpora.lines import Record, checked_text, csv_records, json_entries, open_text
from raypipe.corpora.msp_votes import CODES, ClipFacts, stem
from raypipe.records import Failure

_CONSENSUS = ("labels_consensus", "labels_concensus")
_SPLITS = {
    "train": "Train",
    "validation": "Development",  # its name up to release 1.8
    "development": "Development",
    "test1": "Test1",
    "test2": "Test2",
    "test3": "Test3",
}
_GENDER = re.compile(r"\s*Speaker_(?P<speaker>[^;.]*);(?P<gender>.*)", re.IGNORECASE | re.DOTALL)


def file_name(fields: Mapping[str, str]) -> str:
    """Name of a row's clip without its ending.

    Raises:
        BadLineError: ``missing_id``, or for a name that is no text.
    """
    name = stem(checked_text(fields.get("FileName", ""), "FileName"))
    if not name:
        raise BadLineError("missing_id", "no FileName")
    return name


def read_facts(tree: FileTree, facts: dict[str, ClipFacts]) -> Iterator[Failure]:
    """Read the consensus file into ``facts``; what of it cannot be used."""
    file = tree.find(*(f"{name}.csv" for name in _CONSENSUS))
    if file is not None:
        with open_text(tree.source, file, newline="") as text:
            columns = [("FileName",), ("EmoClass",)]
            yield from _read_facts(file, csv_records(text, file, columns), facts)
        return
    file = tree.find(*(f"{name}.json" for name in _CONSENSUS))
    if file is not None:
        with open_text(tree.source, file) as text:
            document = text.document()
        yield from _read_facts(file, _json_records(document, file), facts)


def _json_records(document: str, file: str) -> Iterator[Record]:
    for line, key, value in json_entries(document, file):
        if isinstance(value, dict):
            yield line, {"FileName": key, **_texts(value)}
        else:
            yield line, BadLineError("bad_json", f"{shown(key)} is not an object")


def _texts(value: Mapping[str, object]) -> dict[str, str]:
    return {name: str(cell) for name, cell in value.items() if cell is not None}


def _read_facts(
    file: str, records: Iterator[Record], facts: dict[str, ClipFacts]
) -> Iterator[Failure]:
    for line, fields in records:
        name = None
        try:
            if isinstance(fields, BadLineError):
                raise fields
            name = file_name(fields)
            if name in facts:
                message = f"{shown(name)} came before, in line {facts[name].line}"
                yield failure(file, line, None, "duplicate_id", message)
                continue
            facts[name] = ClipFacts(
                file,
                line,
                consensus=label_of(fields.get("EmoClass", ""), CODES, "EmoClass"),
                arousal=rating(fields.get("EmoAct"), "EmoAct"),
                valence=rating(fields.get("EmoVal"), "EmoVal"),
                dominance=rating(fields.get("EmoDom"), "EmoDom"),
                speaker=_known(fields.get("SpkrID")),
                split=_split(fields.get("Split_Set")),
                gender=gender(checked_text(fields.get("Gender", ""), "Gender")),
            )
        except BadLineError as error:
            yield failure(file, line, name, error.reason, str(error))


def _known(speaker: str | None) -> str | None:
    clean = checked_text(speaker or "", "speaker")
    return None if clean.lower() in ("", "unknown", "na", "nan") else clean


def _split(text: str | None) -> str | None:
    """The split by its present name; one the lab does not use is kept, ``NA`` is none."""
    clean = checked_text(text or "", "split")
    return None if clean.lower() in ("", "na", "nan") else _SPLITS.get(clean.lower(), clean)


@dataclass(slots=True)
class ClipValues:
    """Values by clip from a file with one clip and one value a line; empty without the file.

    Attributes:
        genders: by speaker, from the lines on speakers.
    """

    values: dict[str, str] = field(default_factory=dict)
    genders: dict[str, str] = field(default_factory=dict)
    faults: list[Failure] = field(default_factory=list)

    @classmethod
    def speakers(cls, tree: FileTree) -> ClipValues:
        """Speaker of a clip, and the speakers' genders."""
        return cls()._read(tree, tree.find("Speaker_ids.txt"), _known, clip_first=True)

    @classmethod
    def partitions(cls, tree: FileTree) -> ClipValues:
        """Split of a clip."""
        file = tree.find("Partitions.txt", "Partition.txt")
        return cls()._read(tree, file, _split, clip_first=False)

    def _read(
        self, tree: FileTree, file: str | None, value: Callable[[str], str | None], clip_first: bool
    ) -> ClipValues:
        if file is not None:
            with open_text(tree.source, file) as text:
                for number_, line in enumerate(text, start=1):
                    first, _, second = line.partition(";")
                    pair = (first, second) if clip_first else (second, first)
                    try:
                        self._add(line, *pair, value)
                    except BadLineError as error:
                        self.faults.append(failure(file, number_, None, error.reason, str(error)))
        return self

    def _add(self, line: str, clip: str, said: str, value: Callable[[str], str | None]) -> None:
        on_speaker = _GENDER.match(line)
        if on_speaker is not None:
            speakers_gender = gender(checked_text(on_speaker["gender"], "gender"))
            if speakers_gender is not None:
                self.genders[on_speaker["speaker"].strip()] = speakers_gender
        if not line.strip() or on_speaker is not None:
            return
        name = checked_text(clip, "clip")
        if not name.lower().endswith(".wav"):
            raise BadLineError("bad_line", f"names no clip: {shown(line)}")
        clean = value(said)
        if clean is not None and self.values.setdefault(stem(name), clean) != clean:
            message = f"{name} is {shown(clean)} here and {shown(self.values[stem(name)])} before"
            raise BadLineError("contradiction", message)
