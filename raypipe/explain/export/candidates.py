"""Utterances of a corpus that may become lines, and why the others do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from raypipe.errors import ConfigError
from raypipe.explain.export.config import CorpusToExport, ExportConfig
from raypipe.explain.export.target import in_one_line, unsafe_tag
from raypipe.explain.gold import NO_CONSENSUS, gold_label
from raypipe.explain.rationale.disguises import disguised
from raypipe.explain.rationale.label_words import label_words
from raypipe.explain.splits import is_evaluation_split, split_name
from raypipe.records import Failure, Utterance
from raypipe.shards import ShardIndex, read_index, read_unheard
from raypipe.store.location import Location
from raypipe.store.query import table_dataset
from raypipe.store.rationale_schema import RATIONALE_TABLES
from raypipe.store.run_record import RECORD, RunRecord, read_record

Part = Literal["train", "development"]

_COLUMNS: Final = ("utterance_id", "split", "label", "rationale", "teacher", "purpose")


@dataclass(frozen=True, slots=True)
class LineCandidate:
    """An utterance that may become a line.

    Attributes:
        corpus: number of its corpus in the config.
        shard: in which it stands.
        own_label: gold, as its corpus calls it.
        label: what that becomes.
        reason: its rationale; None for a line without one.
        part: of the export.
    """

    corpus: int
    shard: str
    utterance_id: str
    dataset: str
    speaker: str | None
    own_label: str
    label: str
    transcript: str
    reason: str | None
    duration_s: float
    part: Part

    @property
    def key(self) -> tuple[str, str]:
        """What it is drawn by."""
        return self.dataset, self.utterance_id


@dataclass(frozen=True, slots=True)
class TeacherTable:
    """A table of rationales.

    Attributes:
        record: of the job that wrote it.
        labels: gold label that the teacher was told, by utterance id.
        texts: rationale by utterance id, of those that have one.
        teachers: names of the models.
    """

    record: RunRecord
    labels: Mapping[str, str]
    texts: Mapping[str, str]
    teachers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CorpusCandidates:
    """What a corpus offers.

    Attributes:
        index: of its shards.
        table: its rationales; None without any.
        left_out: utterances by why they are no candidates; labels that do not map each by name.
        not_in_splits: utterances of other splits by the split's name.
        splits_seen: names of all splits that its utterances are in.
    """

    index: ShardIndex
    shards: Location
    table: TeacherTable | None
    candidates: tuple[LineCandidate, ...]
    left_out: Counter[str] = field(default_factory=Counter)
    not_in_splits: Counter[str] = field(default_factory=Counter)
    splits_seen: frozenset[str] = frozenset()


def read_teacher_table(place: str, index: ShardIndex, endpoint: str | None) -> TeacherTable:
    """The rationales that a job wrote over some shards.

    Args:
        place: output of ``raypipe rationale``.
        index: of the shards.
        endpoint: of an S3-compatible server; None for the environment's.

    Raises:
        ConfigError: if they are for Test II, of other shards, unfinished, or of evaluation splits.
        StoreError: if the storage refuses.
    """
    tables = Location.parse(place, endpoint)
    if not tables.exists(RECORD):
        raise ConfigError(f"rationales {place}: no output of raypipe rationale is there")
    record = read_record(tables)
    if record.config.get("purpose") != "train":
        raise ConfigError(
            f"rationales {place}: they are for {record.config.get('purpose')!r}, made with gold "
            "labels of evaluation items; nothing may be trained on them"
        )
    if record.status != "finished":
        raise ConfigError(f"rationales {place}: the job is {record.status}, not finished")
    if record.input_fingerprint != index.fingerprint:
        raise ConfigError(f"rationales {place}: they are of other shards than the corpus's")
    dataset = table_dataset(tables, RATIONALE_TABLES["train"])
    rows = [] if dataset is None else dataset.to_table(columns=list(_COLUMNS)).to_pylist()
    for row in rows:
        if row["purpose"] != "train" or is_evaluation_split(split_name(row["split"])):
            raise ConfigError(
                f"rationales {place}: that of {row['utterance_id']} is of split "
                f"{split_name(row['split'])} and for {row['purpose']}; nothing may be trained on it"
            )
    return TeacherTable(
        record,
        {row["utterance_id"]: row["label"] for row in rows},
        {row["utterance_id"]: row["rationale"] for row in rows if row["rationale"] is not None},
        tuple(sorted({row["teacher"] for row in rows})),
    )


def corpus_candidates(config: ExportConfig, number: int) -> CorpusCandidates:
    """Candidates of one corpus, in the order of its shards; the audio is not read.

    Args:
        config: of the export.
        number: of the corpus.

    Raises:
        ConfigError: if there are no shards, or the rationales cannot be used.
        ShardError: if a shard cannot be read.
    """
    corpus = config.corpora[number]
    shards = Location.parse(corpus.shards, config.storage.endpoint)
    index = read_index(shards)
    table = None
    if config.reasons and corpus.rationales is not None:
        table = read_teacher_table(corpus.rationales, index, config.storage.endpoint)
    left_out: Counter[str] = Counter()
    elsewhere: Counter[str] = Counter()
    candidates: list[LineCandidate] = []
    seen: set[str] = set()
    splits: set[str] = set()
    for entry in index.shards:
        for row in read_unheard(shards, entry):
            if isinstance(row, Failure):
                left_out[row.error_type] += 1
                continue
            splits.add(split_name(row.split))
            part = _part(split_name(row.split), config, corpus)
            if part is None:
                elsewhere[split_name(row.split)] += 1
                continue
            made = _candidate(row, number, entry.name, part, config, table)
            if isinstance(made, LineCandidate) and made.utterance_id in seen:
                made = "duplicate_id"
            if isinstance(made, str):
                left_out[made] += 1
            else:
                seen.add(made.utterance_id)
                candidates.append(made)
    return CorpusCandidates(
        index, shards, table, tuple(candidates), left_out, elsewhere, frozenset(splits)
    )


def _part(split: str, config: ExportConfig, corpus: CorpusToExport) -> Part | None:
    if split in corpus.splits:
        return "train"
    development = config.development
    if development is not None and split in (development.splits or ()):
        return "development"
    return None


def _candidate(
    row: Utterance,
    number: int,
    shard: str,
    part: Part,
    config: ExportConfig,
    table: TeacherTable | None,
) -> LineCandidate | str:
    """A candidate, or in a word why it is none."""
    own_label = gold_label(row, config.gold)
    if own_label is None:
        return NO_CONSENSUS
    label = config.map_of(config.corpora[number]).get(own_label)
    if label is None:
        return f"label {own_label}"
    transcript = in_one_line(row.transcript or "")
    if not transcript:
        return "no_transcript"
    if unsafe_tag(transcript):
        return "tag_in_transcript"
    reason: str | None = None
    if config.reasons and part == "train":
        reason, fault = _reason(row.utterance_id, own_label, label, table)
        if fault is not None and config.without_rationale == "drop":
            return fault
    return LineCandidate(
        corpus=number,
        shard=shard,
        utterance_id=row.utterance_id,
        dataset=row.dataset,
        speaker=row.speaker,
        own_label=own_label,
        label=label,
        transcript=transcript,
        reason=reason,
        duration_s=row.duration_s,
        part=part,
    )


def _reason(
    utterance_id: str, own_label: str, label: str, table: TeacherTable | None
) -> tuple[str | None, str | None]:
    """A rationale, and in a word why there is none."""
    text = None if table is None else table.texts.get(utterance_id)
    if table is None or text is None:
        return None, "no_rationale"
    if table.labels[utterance_id] != own_label:
        return None, "rationale_of_another_label"
    if unsafe_tag(text):
        return None, "tag_in_rationale"
    # A teacher that explained excitement was free to write "happy".
    if label != own_label and disguised(text, label_words(label)):
        return None, "rationale_names_label"
    return in_one_line(text), None
