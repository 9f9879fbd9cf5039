"""Every object of a run read whole and compared with what was written down when it was made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from raypipe.errors import RaypipeError, ShardError
from raypipe.store.location import Location
from raypipe.store.parquet import from_parquet_bytes
from raypipe.store.query import query, table_dataset
from raypipe.store.run_record import RECORD, RunCounts, read_record
from raypipe.store.seal import is_sealed
from raypipe.store.sealed_json import is_sealed_json, opened_json

_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class CheckedObject:
    """What came of reading an object whole.

    Attributes:
        name: of the object in the run.
        size: in bytes; 0 where it cannot be read.
        rows: of a table; None for what is none, or is damaged.
        has_digest: whether there was a digest of all of it to compare with.
        fault: what is wrong with it; None if nothing is.
    """

    name: str
    size: int
    rows: int | None
    has_digest: bool
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class CheckedRun:
    """What came of reading a run whole.

    Attributes:
        objects: all of them, by name.
        miscounted: counts of ``run.json`` that the tables do not bear out, in words; empty where an
            object is damaged, or the run is not finished.
    """

    objects: tuple[CheckedObject, ...]
    miscounted: tuple[str, ...]

    @property
    def damaged(self) -> tuple[CheckedObject, ...]:
        """Objects with a fault."""
        return tuple(each for each in self.objects if each.fault is not None)


def verify_run(tables: Location) -> CheckedRun:
    """Read all objects of a run, and count its rows.

    Raises:
        ObjectMissingError: if no run is there.
        StoreError: if the storage refuses to list it.
    """
    tables.size(RECORD)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        objects = tuple(pool.map(lambda name: _checked(tables, name), tables.sizes()))
    if any(each.fault is not None for each in objects):
        return CheckedRun(objects, ())
    counts = read_record(tables).counts
    return CheckedRun(objects, () if counts is None else tuple(_miscounted(tables, counts)))


def _checked(tables: Location, name: str) -> CheckedObject:
    try:
        data = tables.read(name)  # object storage compares it with the digest it keeps
    except RaypipeError as error:
        return CheckedObject(name, 0, None, True, str(error))
    try:
        if name == RECORD:
            read_record(tables)
        if name.endswith(".json"):
            opened_json(data, name)
            return CheckedObject(name, len(data), None, is_sealed_json(data) or tables.is_s3)
        if not name.endswith(".parquet"):
            return CheckedObject(name, len(data), None, tables.is_s3)
        rows = from_parquet_bytes(data).num_rows
    except ShardError as error:
        return CheckedObject(name, len(data), None, True, str(error))
    return CheckedObject(name, len(data), rows, is_sealed(data) or tables.is_s3)


def _miscounted(tables: Location, counts: RunCounts) -> Iterable[str]:
    """Counts that differ, of runs that predict; other jobs count what they alone know."""
    if not counts.strategies or table_dataset(tables, "predictions") is None:
        return
    [found] = query(
        tables,
        "SELECT count(DISTINCT (model, prompt, utterance_id)) AS predicted FROM predictions",
    ).to_pylist()
    yield from _differing("predicted utterances", counts.predicted, found["predicted"])
    rows = query(
        tables,
        "SELECT strategy, count(*) FILTER (valid) AS valid,"
        " count(*) FILTER (NOT valid) AS invalid FROM predictions GROUP BY 1",
    ).to_pylist()
    by_strategy: Mapping[str, Mapping[str, int]] = {row["strategy"]: row for row in rows}
    for name, strategy in counts.strategies.items():
        row = by_strategy.get(name, {"valid": 0, "invalid": 0})
        yield from _differing(f"valid rows of {name}", strategy.valid, row["valid"])
        yield from _differing(f"invalid rows of {name}", strategy.invalid, row["invalid"])
    [found] = query(
        tables,
        "SELECT coalesce(sum(utterances), 0)::BIGINT AS errors FROM errors WHERE model IS NOT NULL",
    ).to_pylist()
    yield from _differing("errors", counts.errors, found["errors"])


def _differing(what: str, recorded: int, found: int) -> Iterable[str]:
    if recorded != found:
        yield f"{what}: {RECORD} says {recorded}, the tables hold {found}"
