"""A run's tables as the view reads them: what was predicted, all that is known of one utterance."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from raypipe.errors import StoreError
from raypipe.labels import LabelSet
from raypipe.records import EmotionTokens, Failure, Utterance
from raypipe.reporting.run.scores import Approach
from raypipe.store.generations import StoredAnswer, read_generations
from raypipe.store.location import Location
from raypipe.store.query import table_dataset
from raypipe.store.run_record import RunRecord, read_record
from raypipe.store.schemas import emotion_tokens_of
from raypipe.store.tables import utterance_from_row

TABLES: Final = ("predictions", "generations", "errors")
_MOST_KNOWN: Final = 4096
_NOT_SHOWN: Final = frozenset({"covariance", "audio_marks", "facts", "run"})


@dataclass(frozen=True, slots=True)
class AnsweredCell:
    """What one model answered under one prompt about an utterance.

    Attributes:
        model: its name in the tables.
        prompt: its name in the tables.
        answer: hypotheses and questions, or why there are none.
        emotion_tokens: that recorded logits are aligned with; None if the table names none.
    """

    model: str
    prompt: str
    answer: StoredAnswer | Failure
    emotion_tokens: EmotionTokens | None


@dataclass(frozen=True, slots=True)
class LookedUpUtterance:
    """All that a run's tables say of one utterance.

    Attributes:
        utterance: without its audio; None where only its id is known.
        shard: name of the shard it came from; None if no table tells.
        cells: by model and prompt.
        predictions: rows of ``predictions/``.
        errors: rows of ``errors/``.
    """

    utterance: Utterance | None
    shard: str | None
    cells: tuple[AnsweredCell, ...]
    predictions: tuple[Mapping[str, object], ...]
    errors: tuple[Mapping[str, object], ...]

    @property
    def is_known(self) -> bool:
        """Whether any table names it."""
        return bool(self.cells or self.predictions or self.errors)


@dataclass(frozen=True, eq=False)
class RunTables:
    """The tables of one run, opened for reading.

    Attributes:
        name: the place as it was given.
        location: of the tables.
        record: what ``run.json`` says.
        shards: where the recordings are; None where the run's config does not say.
        datasets: tables that are there, by name.
        homes: places of those of another run: a reaggregation has the answers of the run it read.
    """

    name: str
    location: Location
    record: RunRecord
    shards: Location | None
    datasets: Mapping[str, ds.Dataset]
    homes: Mapping[str, Location]

    @classmethod
    def open(cls, run: str, endpoint: str | None, shards: str | None = None) -> RunTables:
        """The tables of a run.

        Args:
            run: path or ``s3://`` URI.
            endpoint: of an S3-compatible server.
            shards: where the recordings are now; None for where the run read them.

        Raises:
            StoreError: if there is no run with predictions.
        """
        location = Location.parse(run, endpoint)
        record = read_record(location)
        if shards is not None:
            return cls.of(run, location, record, Location.parse(shards, endpoint))
        return cls.of(run, location, record, shards_place(record, endpoint))

    @classmethod
    def of(
        cls,
        name: str,
        location: Location,
        record: RunRecord,
        shards: Location | None,
        only: Collection[str] | None = None,
    ) -> RunTables:
        """The tables of a run whose record is known.

        Args:
            name: the place as it was given.
            location: of the tables.
            record: what ``run.json`` says.
            shards: where the recordings are; None where that is not known.
            only: names of the shards whose objects are opened; None for all.

        Raises:
            StoreError: if it has no predictions.
        """
        opened = {name: table_dataset(location, name, only) for name in TABLES}
        datasets = {name: dataset for name, dataset in opened.items() if dataset is not None}
        if "predictions" not in datasets:
            raise StoreError(f"{location.uri} holds no predictions to look at")
        homes = dict.fromkeys(datasets, location)
        if "generations" not in datasets and record.made_from is not None:
            source = Location.parse(record.made_from.location, location.endpoint)
            answers = table_dataset(source, "generations", only)
            if answers is not None:
                datasets["generations"], homes["generations"] = answers, source
        return cls(name, location, record, shards, datasets, homes)

    @property
    def labels(self) -> LabelSet:
        """The label set of the run."""
        return LabelSet(self.record.labels)

    @cached_property
    def answered_under(self) -> tuple[tuple[str, str], ...]:
        """Models and prompts with answers in ``generations/``."""
        keys = [_keys_of(fragment) for fragment in self._fragments("generations")]
        return tuple(dict.fromkeys(keys))

    def shard_of(self, utterance_id: str) -> str | None:
        """Name of the shard with an utterance, which its tables' objects have, too."""
        known = self._known_shards.get(utterance_id)
        if known is None:
            if len(self._known_shards) >= _MOST_KNOWN:
                self._known_shards.clear()
            known = self.shards_of([utterance_id]).get(utterance_id)
        if known is not None:
            self._known_shards[utterance_id] = known
            return known
        rows = self._error_rows(utterance_id)
        return next((str(row["shard"]) for row in rows if row["shard"] is not None), None)

    def shards_of(self, utterance_ids: Sequence[str]) -> dict[str, str]:
        """Names of the shards with some utterances, as far as the large tables tell."""
        names: dict[str, str] = {}
        for table in ("generations", "predictions"):
            missing = [key for key in utterance_ids if key not in names]
            if table in self.datasets and missing:
                rows = self.datasets[table].to_table(
                    columns=["utterance_id", "__filename"],
                    filter=pc.field("utterance_id").isin(missing),
                )
                for key, path in zip(
                    *(rows[name].to_pylist() for name in rows.column_names), strict=True
                ):
                    names.setdefault(key, self._object_name(table, path))
        return names

    def look_up(self, utterance_id: str) -> LookedUpUtterance:
        """All that the tables say of an utterance; of the large ones only its shard is read."""
        shard = self.shard_of(utterance_id)
        known: Utterance | None = None
        cells = []
        for fragment in self._fragments("generations", shard):
            rows = _rows(fragment, self.datasets["generations"].schema, utterance_id)
            tokens = emotion_tokens_of(fragment.physical_schema)
            for utterance, answer in read_generations(rows):
                known = known or utterance
                cells.append(AnsweredCell(*_keys_of(fragment), answer, tokens))
        predictions = self.predictions_of(utterance_id, shard)
        errors = tuple(self._error_rows(utterance_id))
        return LookedUpUtterance(known, shard, tuple(cells), predictions, errors)

    def predictions_of(
        self, utterance_id: str, shard: str | None
    ) -> tuple[Mapping[str, object], ...]:
        """Rows of ``predictions/`` of an utterance, of all approaches."""
        predictions: list[Mapping[str, object]] = []
        schema = self.datasets["predictions"].schema
        for fragment in self._fragments("predictions", shard):
            rows = _rows(fragment, schema, utterance_id)
            kept = [name for name in rows.column_names if name not in _NOT_SHOWN]
            predictions += rows.select(kept).to_pylist()
        return tuple(predictions)

    def utterance_of(self, utterance_id: str, shard: str | None) -> Utterance | None:
        """An utterance without its audio and without reading answers; None where none tells."""
        if "generations" not in self.datasets:
            return None
        schema = self.datasets["generations"].schema
        light = [name for name in schema.names if name not in ("hypotheses", "emotion_logits")]
        same = pc.field("utterance_id") == utterance_id
        for fragment in self._fragments("generations", shard):
            rows = fragment.to_table(schema=schema, columns=light, filter=same).to_pylist()
            for row in rows:
                if row["sampling_rate"] is not None:
                    return utterance_from_row(row)
        return None

    def approaches(self) -> tuple[Approach, ...]:
        """Models, prompts and strategies with predictions, in the order of the first shards."""
        seen: dict[Approach, None] = {}
        for fragment in self._fragments("predictions"):
            model, prompt = _keys_of(fragment)
            if any((cell.model, cell.prompt) == (model, prompt) for cell in seen):
                continue  # every shard has rows of every strategy
            strategies = fragment.to_table(columns=["strategy"])["strategy"].unique().to_pylist()
            seen |= dict.fromkeys(Approach(model, prompt, name) for name in strategies)
        return tuple(seen)

    def _error_rows(self, utterance_id: str) -> list[Mapping[str, object]]:
        if "errors" not in self.datasets:
            return []
        same = pc.field("utterance_id") == utterance_id
        rows: list[Mapping[str, object]] = self.datasets["errors"].to_table(filter=same).to_pylist()
        return rows

    def _fragments(self, table: str, shard: str | None = None) -> Iterator[ds.Fragment]:
        """Objects of a table in the order of their names; all, or those of one shard."""
        for name, fragment in self._objects.get(table, ()):
            if shard is None or name == shard:
                yield fragment

    @cached_property
    def _known_shards(self) -> dict[str, str]:
        """Shards of utterances that were looked for: a browser asks for one in many pieces."""
        return {}

    @cached_property
    def _objects(self) -> Mapping[str, tuple[tuple[str, ds.Fragment], ...]]:
        """Objects of every table with the names of their shards."""
        objects = {}
        for table, dataset in self.datasets.items():
            fragments = sorted(dataset.get_fragments(), key=lambda fragment: str(fragment.path))
            objects[table] = tuple(
                (self._object_name(table, str(fragment.path)), fragment) for fragment in fragments
            )
        return objects

    def _object_name(self, table: str, path: str) -> str:
        """An object's name without the folders of its table, model and prompt."""
        _, base = self.homes[table].filesystem()
        parts = path.removeprefix(f"{base}/{table}/").split("/")
        return "/".join(part for part in parts if not part.startswith(("model=", "prompt=")))


def approach_key(run: int, approach: Approach) -> str:
    """A run's number and an approach as one text for an address.

    Example:
        >>> approach_key(0, Approach("org/model", "distribution", "w_bon[tau=2]"))
        '0/org%2Fmodel/distribution/w_bon%5Btau%3D2%5D'
    """
    parts = (str(run), approach.model, approach.prompt, approach.strategy)
    return "/".join(quote(part, safe="") for part in parts)


def _keys_of(fragment: ds.Fragment) -> tuple[str, str]:
    keys = ds.get_partition_keys(fragment.partition_expression)
    return str(keys.get("model") or ""), str(keys.get("prompt") or "")


def _rows(fragment: ds.Fragment, schema: pa.Schema, utterance_id: str) -> pa.Table:
    return fragment.to_table(schema=schema, filter=pc.field("utterance_id") == utterance_id)


def shards_place(record: RunRecord, endpoint: str | None = None) -> Location | None:
    """Where a run read its shards, as its config says; None where it does not.

    Args:
        record: of the run.
        endpoint: of an S3-compatible server; None for the one in the config.
    """
    place, known = (
        _setting(record, *names) for names in (("input", "shards"), ("storage", "endpoint"))
    )
    return None if place is None else Location.parse(place, endpoint or known)


def _setting(record: RunRecord, section: str, name: str) -> str | None:
    """A text in a section of the run's config; None where there is none."""
    values = record.config.get(section)
    value = values.get(name) if isinstance(values, dict) else None
    return value if isinstance(value, str) else None
