"""MSP-Podcast: podcast turns, judged by crowd workers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from raypipe.corpora.base import Corpus, Selection
from raypipe.corpora.clips import FileTree, ListedClip, failure
from raypipe.corpora.facts import facts_of
from raypipe.corpora.fields import BadLineError, shown
from raypipe.corpora.lines import checked_text, csv_records, json_entries, open_text
from raypipe.corpora.msp_facts import ClipValues, file_name, read_facts
from raypipe.corpora.msp_votes import ClipFacts, RatedClip, blocks, stem, vote, worker_line
from raypipe.errors import CorpusError
from raypipe.labels import LABEL_SETS
from raypipe.records import Failure, Vote
from raypipe.votes import VotePolicy, consensus

Fields = Mapping[str, object]
BadRecord = tuple[int, BadLineError]

_WORKER_COLUMNS = ("WorkerID", "Workers")
_WITHHELD = re.compile(r".*_test3_\d+", re.IGNORECASE)


class MspPodcast(Corpus):
    """Adapter of MSP-Podcast; the field is its option."""

    name: ClassVar[str] = "msp-podcast"
    title: ClassVar[str] = "MSP-Podcast"
    about: ClassVar[str] = """
        Releases 1.6 to 2.0: podcast turns, each judged by five or more crowd workers.

        The votes are taken from labels_detailed.csv (in any of its layouts, told apart by the
        header), else labels.txt, else labels_detailed.json; consensus, speaker and split from
        labels_consensus.csv or .json (labels_concensus up to release 1.9), where missing from
        labels.txt, Speaker_ids.txt and Partitions.txt. The consensus is the plurality of the
        primary labels with all "Other-..." as one class; a tie for the first place is no agreement.
    """
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

    withheld: bool = Field(
        default=False,
        description="also take the recordings of Test3, whose labels, speakers and transcripts "
        "are not published; they have no votes",
    )

    def listed(self, tree: FileTree) -> Iterator[ListedClip | Failure]:
        """Every clip with votes, then clips and recordings without."""
        facts: dict[str, ClipFacts] = {}
        failed: set[str] = set()
        for fault in read_facts(tree, facts):
            failed.add(fault.utterance_id or "")
            yield fault
        speakers, splits = ClipValues.speakers(tree), ClipValues.partitions(tree)
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
            known = facts.get(rated.name) or rated.facts or ClipFacts(file, rated.line)
            known = replace(
                known,
                consensus=known.consensus or consensus(rated.votes),
                speaker=known.speaker or speakers.values.get(rated.name),
                split=known.split or splits.values.get(rated.name),
            )
            known = replace(known, gender=known.gender or speakers.genders.get(known.speaker or ""))
            yield self._clip(rated, known, transcripts.get(rated.name))
        for name, known in facts.items():
            if name not in rated_names and name not in failed:
                message = f"{shown(name)} has no votes in {file}"
                yield failure(known.file, known.line, name, "no_votes", message)
        yield from self._unrated(tree, {*rated_names, *facts, *failed})

    def _clip(self, rated: RatedClip, facts: ClipFacts, transcript_file: str | None) -> ListedClip:
        utterance = self.bare_utterance(
            rated.name,
            split=facts.split,
            speaker=facts.speaker,
            votes=tuple(rated.votes),
            consensus=facts.consensus,
            arousal=facts.arousal,
            valence=facts.valence,
            dominance=facts.dominance,
            facts=facts_of(gender=facts.gender),
        )
        return ListedClip(
            utterance, rated.name, rated.file, rated.line, transcript_file=transcript_file
        )

    def _unrated(self, tree: FileTree, known: set[str]) -> Iterator[ListedClip | Failure]:
        for name, files in tree.recordings():
            if name in known:
                continue
            if not _WITHHELD.fullmatch(name):
                message = "no votes for this recording"
                yield failure(files[0], None, name, "no_votes", message)
            elif self.withheld:
                yield ListedClip(self.bare_utterance(name, split="Test3"), name, files[0])


def _details(tree: FileTree) -> tuple[str, Iterator[RatedClip | BadRecord]]:
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


def _from_text(tree: FileTree, file: str) -> Iterator[RatedClip | BadRecord]:
    with open_text(tree.source, file) as text:
        yield from blocks(file, text)


def _from_csv(tree: FileTree, file: str) -> Iterator[RatedClip | BadRecord]:
    """Clips from neighbouring rows; one that comes back becomes a duplicate later."""
    rated: RatedClip | None = None
    with open_text(tree.source, file, newline="") as text:
        columns = [("FileName",), ("EmoDetail", "EmoClass_Major")]
        for line, fields in csv_records(text, file, columns):
            if isinstance(fields, BadLineError):
                yield line, fields
                continue
            try:
                name = file_name(fields)
            except BadLineError as error:
                yield line, error
                continue
            if rated is None or rated.name != name:
                if rated is not None:
                    yield rated
                rated = RatedClip(file, line, name)
            _vote_of(rated, line, fields)
    if rated is not None:
        yield rated


def _vote_of(rated: RatedClip, line: int, fields: Fields) -> None:
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


def _from_json(tree: FileTree, file: str) -> Iterator[RatedClip | BadRecord]:
    with open_text(tree.source, file) as text:
        document = text.document()
    for line, key, value in json_entries(document, file):
        rated = RatedClip(file, line, stem(key))
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
