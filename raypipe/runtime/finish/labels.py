"""Label tables that a job's predictions are measured against, and rows under their labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from raypipe.config import LabelsConfig
from raypipe.errors import ConfigError
from raypipe.labels import LabelSet
from raypipe.records import OWN_LABELS, LabelTable
from raypipe.relabel.label_table import read_label_table
from raypipe.store.location import Location
from raypipe.store.parquet import read_columns
from raypipe.store.run_record import LabelsUsed


@dataclass(frozen=True, slots=True)
class PlacedTable:
    """A label table and where it lies; a worker gets this instead of every distribution.

    Attributes:
        place: as :func:`raypipe.relabel.label_table.read_label_table` takes it.
        endpoint: of an S3-compatible server; None for the environment's.
    """

    place: str
    endpoint: str | None
    name: str
    labels: LabelSet
    fingerprint: str


@dataclass(frozen=True, slots=True)
class TruthTables:
    """What predictions are measured against.

    Attributes:
        instead: of the corpus's labels; None for those.
        beside: tables that they are measured against once more each.
    """

    instead: PlacedTable | None = None
    beside: tuple[PlacedTable, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Of the table that stands instead of the corpus's labels; empty without one."""
        return "" if self.instead is None else self.instead.fingerprint

    @property
    def all(self) -> tuple[PlacedTable, ...]:
        """Every table, that instead of the corpus's labels first."""
        return self.beside if self.instead is None else (self.instead, *self.beside)

    def identity(self) -> dict[str, str]:
        """Digest of the table that can change ``predictions/``, by what it is."""
        return {} if self.instead is None else {"the label table": self.fingerprint[:16]}

    def used(self, utterance_ids: Iterable[str | None]) -> tuple[LabelsUsed, ...] | None:
        """What ``run.json`` says of them; None without any.

        Args:
            utterance_ids: of the job; read only where there is a table.

        Raises:
            ConfigError: if a table names none of the utterances.
        """
        if not self.all:
            return None
        known = set(utterance_ids)
        return tuple(self._used(table, known) for table in self.all)

    def _used(self, table: PlacedTable, known: set[str | None]) -> LabelsUsed:
        entries = read_table(table).distributions.keys()
        matched = len(entries & known)
        if not matched:
            raise ConfigError(
                f"label table {table.place} names none of the {len(known)} utterances "
                f"(its first is {next(iter(entries))!r})"
            )
        place: Literal["beside", "instead"] = "instead" if table is self.instead else "beside"
        return LabelsUsed(
            name=table.name,
            place=place,
            table=table.place,
            fingerprint=table.fingerprint,
            entries=len(entries),
            matched=matched,
        )


NO_TABLES = TruthTables()
"""The corpus's own labels are what is measured against."""


def truth_tables(
    configs: Sequence[LabelsConfig], labels: LabelSet, endpoint: str | None
) -> TruthTables:
    """The tables that a config names, read once to see that they can be used.

    Raises:
        ConfigError: if a table is not there, of other labels or damaged, or two share a name.
    """
    placed: list[tuple[str, PlacedTable]] = []
    for config in configs:
        # Workers have another directory to start from.
        folder, name = Location.parse_object(config.table, endpoint)
        place = f"{folder.uri.rstrip('/')}/{name}"
        table = read_label_table(place, labels, endpoint=endpoint, name=config.name)
        known = PlacedTable(place, endpoint, table.name, labels, table.fingerprint)
        placed.append((config.place, known))
    names = [table.name for _, table in placed]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"labels: give each table a name of its own, {twice} stand for several")
    return TruthTables(
        instead=next((table for place, table in placed if place == "instead"), None),
        beside=tuple(table for place, table in placed if place == "beside"),
    )


@lru_cache(maxsize=4)
def read_table(placed: PlacedTable) -> LabelTable:
    """The table itself, kept in this process.

    Raises:
        ConfigError: if it is not there any more, or another one.
    """
    table = read_label_table(
        placed.place, placed.labels, endpoint=placed.endpoint, name=placed.name
    )
    if table.fingerprint != placed.fingerprint:
        raise ConfigError(f"label table {placed.place} has changed since the job began")
    return table


def table_instead(truth: PlacedTable | None) -> LabelTable:
    """The table that stands instead of the corpus's labels, or the corpus's labels."""
    return OWN_LABELS if truth is None else read_table(truth)


def ids_in(place: Location, names: Iterable[str]) -> Iterator[tuple[str, list[str | None]]]:
    """Utterance ids of the rows of Parquet objects by the object's name; no other column is read.

    Objects that cannot be read are left out: what reads them whole says why.
    """
    for name in names:
        try:
            column = read_columns(place, name, ["utterance_id"]).column("utterance_id")
        except (OSError, pa.ArrowInvalid, KeyError):
            continue
        yield name, column.to_pylist()


def relabelled_rows(predictions: pa.Table, table: LabelTable) -> pa.Table:
    """Rows of ``predictions/`` with soft label and plurality of a label table.

    Rows of utterances that it does not name keep theirs. Metrics of single utterances, which are
    columns of their own, stay what they were.
    """
    if not table.distributions:
        return predictions
    shares = list(table.distributions.values())
    at = pc.index_in(predictions["utterance_id"], value_set=pa.array(table.distributions.keys()))
    pluralities = pa.array([table.plurality(each) for each in shares], pa.string())
    soft_label = pa.array(shares, predictions.schema.field("soft_label").type)
    columns = {
        "soft_label": pc.coalesce(pc.take(soft_label, at), predictions["soft_label"]),
        "plurality": pc.if_else(at.is_valid(), pc.take(pluralities, at), predictions["plurality"]),
    }
    for name, column in columns.items():
        place = predictions.schema.get_field_index(name)
        predictions = predictions.set_column(place, predictions.schema.field(place), column)
    return predictions
