"""MSP-Podcast, releases 1.6 to 2.0: podcast turns, each judged by five or more crowd workers.

The votes are taken from ``labels_detailed.csv`` (in any of its layouts, told apart by the header),
else ``labels.txt``, else ``labels_detailed.json``; consensus, speaker and split from
``labels_consensus.csv`` or ``.json`` (``labels_concensus`` up to release 1.9), where missing from
``labels.txt``, ``Speaker_ids.txt`` and ``Partitions.txt``. The consensus is the plurality of the
primary labels with all ``Other-…`` as one class; a tie for the first place is no agreement.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from raypipe.corpora.base import Corpus, Selection
from raypipe.corpora.clips import Listed, Tree, failure, label_of
from raypipe.corpora.fields import BadLineError, rating, shown
from raypipe.corpora.lines import Record, checked_text, csv_records, json_entries, open_text
from raypipe.corpora.msp_votes import (
    CODES,
    Facts,
    Rated,
    blocks,
    stem,
    vote,
    worker_line,
)
from raypipe.errors import CorpusError
from raypipe.labels import LABEL_SETS
from raypipe.records import Failure, Vote
from raypipe.votes import VotePolicy, consensus

Fields = Mapping[str, object]
BadRecord = tuple[int, BadLineError]

_CONSENSUS = ("labels_consensus", "labels_concensus")
_WORKER_COLUMNS = ("WorkerID", "Workers")
_SPLITS = {
    "train": "Train",
    "validation": "Development",  # its name up to release 1.8
    "development": "Development",
    "test1": "Test1",
    "test2": "Test2",
    "test3": "Test3",
}
_GENDER = re.compile(r"\s*Speaker_[^;.]*;", re.IGNORECASE)
_WITHHELD = re.compile(r".*_test3_\d+", re.IGNORECASE)


class MspPodcast(Corpus):
    """The adapter of MSP-Podcast.

    Attributes:
        withheld: also take the recordings of Test3, whose labels, speakers and transcripts are
            not published; they have no votes.
    """

    name: ClassVar[str] = "msp-podcast"
    title: ClassVar[str] = "MSP-Podcast"
    licence: ClassVar[str] = "academic agreement signed by the institution; no redistribution"
    selections: ClassVar[Mapping[str, Selection]] = {
        "8-primary": Selection(
            LABEL_SETS["msp-podcast-8"],
            VotePolicy(aliases=False, plurality="corpus"),
            "every clip; shares of the primary labels without Other; the reference label is the "
            "published consensus",
        ),
        "8-consensus": Selection(
            LABEL_SETS["msp-podcast-8"],
            VotePolicy(aliases=False, plurality="corpus", clips="consensus"),
            "clips whose consensus is one of the 8 labels, neither Other nor no agreement",
        ),
        "8-secondary": Selection(
            LABEL_SETS["msp-podcast-8"],
            VotePolicy(rule="primary+secondary", aliases=False, plurality="corpus"),
            "every clip; shares of all mentions of the 8 labels, primary and secondary",
        ),
        "8-all-inclusive": Selection(
            LABEL_SETS["msp-podcast-8"],
            VotePolicy(rule="all_inclusive", aliases=False, plurality="corpus"),
            "every clip; as 8-secondary, and the labels that workers typed in words of their own",
        ),
        "16-secondary": Selection(
            LABEL_SETS["msp-podcast-16"],
            VotePolicy(rule="primary+secondary", aliases=False, plurality="corpus"),
            "every clip; shares of all mentions of the 16 labels of the secondary list",
        ),
        "4-consensus": Selection(
            LABEL_SETS["msp-podcast-4"],
            VotePolicy(aliases=False, plurality="corpus", clips="consensus"),
            "clips whose consensus is anger, happiness, neutral or sadness",
        ),
    }

    withheld: bool = False

    def listed(self, tree: Tree) -> Iterator[Listed | Failure]:
        """Every clip with votes, then clips and recordings without."""
        facts: dict[str, Facts] = {}
        failed: set[str] = set()
        for one in _facts(tree, facts):
            failed.add(one.utterance_id or "")
            yield one
        speakers, splits = _Pairs.speakers(tree), _Pairs.partitions(tree)
        yield from (*speakers.faults, *splits.faults)
        transcripts = tree.texts("transcripts")
        rated_names: set[str] = set()
        file, details = _details(tree)
        for rated in details:
            if isinstance(rated, tuple):
                line, error = rated
                yield failure(file, line, None, error.reason, str(error))
                continue
            rated_names.add(rated.name)
            if rated.name in failed:
                continue
            if rated.fault is not None:
                line, error = rated.fault
                yield failure(file, line, rated.name, error.reason, str(error))
                continue
            known = facts.get(rated.name) or rated.facts or Facts(file, rated.line)
            known = replace(
                known,
                consensus=known.consensus or consensus(rated.votes),
                speaker=known.speaker or speakers.values.get(rated.name),
                split=known.split or splits.values.get(rated.name),
            )
            yield self._clip(rated, known, transcripts.get(rated.name))
        for name, known in facts.items():
            if name not in rated_names and name not in failed:
                message = f"{shown(name)} has no votes in {file}"
                yield failure(known.file, known.line, name, "no_votes", message)
        yield from self._unrated(tree, {*rated_names, *facts, *failed})

    def _clip(self, rated: Rated, facts: Facts, transcript_file: str | None) -> Listed:
        utterance = self.bare_utterance(
            rated.name,
            split=facts.split,
            speaker=facts.speaker,
            votes=tuple(rated.votes),
            consensus=facts.consensus,
            arousal=facts.arousal,
            valence=facts.valence,
            dominance=facts.dominance,
        )
        return Listed(
            utterance, rated.name, rated.file, rated.line, transcript_file=transcript_file
        )

    def _unrated(self, tree: Tree, known: set[str]) -> Iterator[Listed | Failure]:
        for name, files in tree.recordings():
            if name in known:
                continue
            if not _WITHHELD.fullmatch(name):
                message = "no votes for this recording"
                yield failure(files[0], None, name, "no_votes", message)
            elif self.withheld:
                yield Listed(self.bare_utterance(name, split="Test3"), name, files[0])


def _details(tree: Tree) -> tuple[str, Iterator[Rated | BadRecord]]:
    """The file with the votes, and its clips."""
    file = tree.find("labels_detailed.csv")
    if file is not None:
        return file, _from_csv(tree, file)
    file = tree.find("labels.txt")
    if file is not None:
        return file, _from_text(tree, file)
    file = tree.find("labels_detailed.json")
    if file is not None:
        return file, _from_json(tree, file)
    raise CorpusError(
        f"there is no labels_detailed.csv, labels.txt or labels_detailed.json in {tree.source.uri}"
    )


def _from_text(tree: Tree, file: str) -> Iterator[Rated | BadRecord]:
    with open_text(tree.source, file) as text:
        yield from blocks(file, text)


def _from_csv(tree: Tree, file: str) -> Iterator[Rated | BadRecord]:
    """Neighbouring rows of one clip belong together; a clip that comes back is told later."""
    rated: Rated | None = None
    with open_text(tree.source, file, newline="") as text:
        columns = [("FileName",), ("EmoDetail", "EmoClass_Major")]
        for line, fields in csv_records(text, file, columns):
            if isinstance(fields, BadLineError):
                yield line, fields
                continue
            try:
                name = _file_name(fields)
            except BadLineError as error:
                yield line, error
                continue
            if rated is None or rated.name != name:
                if rated is not None:
                    yield rated
                rated = Rated(file, line, name)
            _vote_of(rated, line, fields)
    if rated is not None:
        yield rated


def _file_name(fields: Mapping[str, str]) -> str:
    """Name of a row's clip without its ending."""
    name = stem(checked_text(fields.get("FileName", ""), "FileName"))
    if not name:
        raise BadLineError("missing_id", "no FileName")
    return name


def _vote_of(rated: Rated, line: int, fields: Fields) -> None:
    try:
        if "EmoDetail" in fields:
            rated.votes.append(worker_line(str(fields["EmoDetail"])))
        else:
            worker = next((fields[name] for name in _WORKER_COLUMNS if name in fields), "")
            rated.votes.append(_column_vote(worker, fields))
    except BadLineError as error:
        rated.fault = rated.fault or (line, error)


def _column_vote(worker: object, fields: Fields) -> Vote:
    return vote(
        str(worker),
        str(fields.get("EmoClass_Major") or ""),
        str(fields.get("EmoClass_Second") or ""),
        arousal=fields.get("EmoAct"),
        valence=fields.get("EmoVal"),
        dominance=fields.get("EmoDom"),
    )


def _from_json(tree: Tree, file: str) -> Iterator[Rated | BadRecord]:
    with open_text(tree.source, file) as text:
        document = text.read()
    for line, key, value in json_entries(document, file):
        rated = Rated(file, line, stem(key))
        try:
            checked_text(key, "file name")
            if not isinstance(value, dict):
                raise BadLineError("bad_json", f"not an object of workers: {shown(value)}")
            for worker, fields in value.items():
                if not isinstance(fields, dict):
                    raise BadLineError("bad_json", f"not a worker's answers: {shown(fields)}")
                rated.votes.append(_column_vote(worker, fields))
        except BadLineError as error:
            rated.fault = (line, error)
        yield rated


def _facts(tree: Tree, facts: dict[str, Facts]) -> Iterator[Failure]:
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
            document = text.read()
        yield from _read_facts(file, _json_records(document, file), facts)


def _json_records(document: str, file: str) -> Iterator[Record]:
    for line, key, value in json_entries(document, file):
        if isinstance(value, dict):
            yield line, {"FileName": key, **_texts(value)}
        else:
            yield line, BadLineError("bad_json", f"{shown(key)} is not an object")


def _texts(value: Mapping[str, object]) -> dict[str, str]:
    return {name: str(one) for name, one in value.items() if one is not None}


def _read_facts(file: str, records: Iterator[Record], facts: dict[str, Facts]) -> Iterator[Failure]:
    for line, fields in records:
        name = None
        try:
            if isinstance(fields, BadLineError):
                raise fields
            name = _file_name(fields)
            if name in facts:
                message = f"{shown(name)} came before, in line {facts[name].line}"
                yield failure(file, line, None, "duplicate_id", message)
                continue
            facts[name] = Facts(
                file,
                line,
                consensus=label_of(fields.get("EmoClass", ""), CODES, "EmoClass"),
                arousal=rating(fields.get("EmoAct"), "EmoAct"),
                valence=rating(fields.get("EmoVal"), "EmoVal"),
                dominance=rating(fields.get("EmoDom"), "EmoDom"),
                speaker=_known(fields.get("SpkrID")),
                split=_split(fields.get("Split_Set")),
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
class _Pairs:
    """What a file with one clip and one value a line says; a corpus without it says nothing."""

    values: dict[str, str] = field(default_factory=dict)
    faults: list[Failure] = field(default_factory=list)

    @classmethod
    def speakers(cls, tree: Tree) -> _Pairs:
        """Speaker of a clip; the file's lines on a speaker's gender are passed over."""
        return cls()._read(tree, tree.find("Speaker_ids.txt"), _known, clip_first=True)

    @classmethod
    def partitions(cls, tree: Tree) -> _Pairs:
        """Split of a clip."""
        file = tree.find("Partitions.txt", "Partition.txt")
        return cls()._read(tree, file, _split, clip_first=False)

    def _read(
        self, tree: Tree, file: str | None, value: Callable[[str], str | None], clip_first: bool
    ) -> _Pairs:
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
        if not line.strip() or _GENDER.match(line):
            return
        name = checked_text(clip, "clip")
        if not name.lower().endswith(".wav"):
            raise BadLineError("bad_line", f"names no clip: {shown(line)}")
        clean = value(said)
        if clean is not None and self.values.setdefault(stem(name), clean) != clean:
            message = f"{name} is {shown(clean)} here and {shown(self.values[stem(name)])} before"
            raise BadLineError("contradiction", message)
