"""What a relabel job reads: utterances with references and descriptions, without audio."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from raypipe.corpora.emo_superb import LabelRow, label_rows
from raypipe.errors import ConfigError, ShardError
from raypipe.labels import LabelSet
from raypipe.records import Failure
from raypipe.relabel.item import Described, described
from raypipe.runtime.infer.context import ShardTask
from raypipe.runtime.infer.plan import shard_tasks
from raypipe.runtime.relabel.config import LabelTableInput, RelabelConfig
from raypipe.shards import ShardIndex, read_index, read_unheard
from raypipe.store.location import Location

REQUESTS_PER_PART = 32
"""Requests between two commits; they are asked side by side as far as the engine does."""

_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class FailedInput:
    """An input that has no labels to change.

    Attributes:
        shard: in which it stands; None for a row of a table.
        row: its number; None for all rows of a shard that cannot be read.
        utterances: number of inputs that it stands for.
    """

    failure: Failure
    shard: str | None
    row: int | None
    utterances: int = 1


@dataclass(frozen=True, slots=True)
class Part:
    """Inputs that are committed together, in corpus order.

    Attributes:
        name: of its objects.
        again: it was written with items whose requests failed, and is to be written anew.
    """

    name: str
    rows: tuple[Described | FailedInput, ...]
    again: bool = False

    @property
    def utterances(self) -> int:
        """Inputs that it stands for."""
        return sum(row.utterances if isinstance(row, FailedInput) else 1 for row in self.rows)


@dataclass(frozen=True, slots=True)
class RelabelInput:
    """A corpus to be relabelled.

    Attributes:
        fingerprint: of what was read.
        index: of the shards; None for a table.
    """

    labels: LabelSet
    rows: tuple[Described | FailedInput, ...]
    fingerprint: str
    dataset: str
    index: ShardIndex | None = None


def read_input(config: RelabelConfig) -> RelabelInput:
    """The corpus that a config names.

    Raises:
        ConfigError: if it is empty, or nobody wrote a description.
        CorpusError: if a table cannot be read as a whole.
        StoreError: if the storage refuses.
    """
    corpus = _from_shards(config) if config.table is None else _from_table(config, config.table)
    if not any(isinstance(row, Described) and row.words for row in corpus.rows):
        raise ConfigError(
            f"none of {len(corpus.rows)} utterances has a typed description and a reference "
            "distribution; there is nothing to relabel"
        )
    return corpus


def parts_of(corpus: RelabelInput, items_per_request: int) -> tuple[Part, ...]:
    """The corpus cut after whole requests, so that a part's size does not change them."""
    most = items_per_request * REQUESTS_PER_PART
    parts: list[list[Described | FailedInput]] = [[]]
    items = 0
    for row in corpus.rows:
        is_item = isinstance(row, Described) and bool(row.words)
        if is_item and items == most:
            parts.append([])
            items = 0
        parts[-1].append(row)
        items += is_item
    return tuple(
        Part(f"part-{number:05d}.parquet", tuple(rows)) for number, rows in enumerate(parts)
    )


def _from_shards(config: RelabelConfig) -> RelabelInput:
    assert config.input is not None
    shards = Location.parse(config.input.shards, config.storage.endpoint)
    index = read_index(shards)
    labels = LabelSet(tuple(index.labels))
    tasks = shard_tasks(shards, index, config.input.limit)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        read = pool.map(
            lambda task: _shard_rows(shards, task, labels, self_reports=config.self_reports), tasks
        )
        rows = tuple(row for part in read for row in part)
    return RelabelInput(labels, rows, index.fingerprint, index.dataset or "", index)


def _shard_rows(
    shards: Location, task: ShardTask, labels: LabelSet, *, self_reports: bool
) -> Sequence[Described | FailedInput]:
    name = task.entry.name
    try:
        rows = read_unheard(shards, task.entry, labels)[: task.take]
    except ShardError as error:
        failure = Failure(None, "read", type(error).__name__, str(error))
        return [FailedInput(failure, name, None, task.take)]
    made: list[Described | FailedInput] = []
    for number, row in enumerate(rows):
        if isinstance(row, Failure):
            made.append(FailedInput(row, name, number))
            continue
        if number in task.repeated:
            message = f"utterance_id {row.utterance_id!r} is also in {task.repeated[number]}"
            failure = Failure(row.utterance_id, "read", "duplicate_id", message)
            made.append(FailedInput(failure, name, number))
            continue
        item = described(row, self_reports=self_reports)
        made.append(item or FailedInput(_no_reference(row.utterance_id), name, number))
    return made


def _from_table(config: RelabelConfig, table: LabelTableInput) -> RelabelInput:
    folder, file = Location.parse_object(table.path, config.storage.endpoint)
    digest = hashlib.sha256(folder.read(file)).hexdigest()
    return RelabelInput(table.label_set, tuple(_table_rows(config, table)), digest, file)


def _table_rows(config: RelabelConfig, table: LabelTableInput) -> Iterator[Described | FailedInput]:
    rows = label_rows(
        table.path,
        table.label_set,
        endpoint=config.storage.endpoint,
        other_labels=table.other_labels,
    )
    for row in rows:
        if not isinstance(row, LabelRow):
            yield FailedInput(row, None, row.row)
        elif row.shares is None:
            yield FailedInput(_no_reference(row.name), None, row.line)
        else:
            typed = (" ".join(text.split()) for text in row.words.split(","))
            yield Described(
                row.name,
                row.shares,
                tuple(text for text in typed if text),
                reference_sum=row.total,
                split=row.split,
                speaker=row.speaker,
            )


def _no_reference(utterance_id: str) -> Failure:
    message = "no vote for a label: there is no reference distribution to change"
    return Failure(utterance_id, "read", "no_reference", message)
