"""One flipped bit in any table is noticed, or changes nothing; the object is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from in_process import InProcess

import raypipe
from raypipe.errors import ConfigError, RaypipeError, StoreError
from raypipe.labels import LABEL_SETS
from raypipe.runtime.finish.comparing import compare_runs
from raypipe.runtime.finish.error_share import errors_by_cell
from raypipe.runtime.finish.report import write_report
from raypipe.store.damage import damage, damage_named
from raypipe.store.location import Location
from raypipe.store.objects import object_bytes, read_object
from raypipe.store.query import SCHEMAS, query, table_dataset
from raypipe.store.run_record import read_record
from raypipe.store.schemas import labels_metadata, with_metadata

FLIPS = 200
NAME = "model=m/prompt=p/part.parquet"


def made_up(kind: pa.DataType, rng: np.random.Generator) -> object:
    if pa.types.is_map(kind):
        return [(f"k{rng.integers(3)}", made_up(kind.item_type, rng))]
    if pa.types.is_list(kind):
        return [made_up(kind.value_type, rng) for _ in range(int(rng.integers(1, 4)))]
    if pa.types.is_struct(kind):
        return {field.name: made_up(field.type, rng) for field in kind}
    if pa.types.is_boolean(kind):
        return bool(rng.integers(2))
    if pa.types.is_integer(kind):
        return int(rng.integers(100))
    if pa.types.is_floating(kind):
        return float(rng.integers(1000)) / 8  # of any width
    if pa.types.is_binary(kind):
        return rng.bytes(40)
    return f"text {rng.integers(1000)}"


def made_up_object(table: str) -> bytes:
    rng = np.random.default_rng(7)
    schema = with_metadata(SCHEMAS[table], labels_metadata(LABEL_SETS["crema-d-6"]))
    arrays = [
        pa.array([made_up(field.type, rng) for _ in range(20)], field.type) for field in schema
    ]
    rows = pa.Table.from_arrays(arrays, schema=schema)
    return object_bytes(rows, model="m", prompt="p", fingerprint="f")


def read(place: Location, table: str) -> tuple[pa.Table, pa.Table, object]:
    """The whole table, some rows found by the statistics in its footer, and its labels."""
    dataset = table_dataset(place, table)
    assert dataset is not None
    whole = dataset.to_table(use_threads=False)
    name = next(field.name for field in SCHEMAS[table] if pa.types.is_string(field.type))
    if name in ("model", "prompt"):
        name = next(n for n in whole.column_names if whole.schema.field(n).type == pa.string())
    found = dataset.to_table(filter=ds.field(name) == whole[name][3].as_py(), use_threads=False)
    return whole, found, dataset.schema.metadata


@pytest.mark.parametrize("table", SCHEMAS)
def test_no_flipped_bit_of_a_table_passes(table: str, tmp_path: Path) -> None:
    good = made_up_object(table)
    path = tmp_path / table / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(good)
    place = Location.parse(str(tmp_path))
    expected = read(place, table)
    assert len(expected[0]) == 20
    assert len(expected[1])
    named: list[str] = []
    bits = np.random.default_rng(SEEDS[table]).choice(len(good) * 8, FLIPS, replace=False)
    for bit in map(int, bits):
        damaged = bytearray(good)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bytes(damaged))
        try:
            with damage_named(place):
                found = read(place, table)
        except StoreError as error:
            named.append(str(error))
        else:  # such as a statistic of a page, which nobody reads
            assert found[2] == expected[2]
            assert all(one.equals(other) for one, other in zip(found[:2], expected, strict=False))

    assert len(named) > FLIPS // 2
    assert all(f"{table}/{NAME} is damaged" in told for told in named)


SEEDS = {table: number for number, table in enumerate(SCHEMAS)}


@pytest.fixture
def run(in_process: InProcess) -> InProcess:
    in_process.reduced(in_process.finished(strategies=["greedy"]))
    return in_process


def pages_flipped(data: bytes) -> bytes:
    """The file with one bit of every compressed page flipped; no header or footer tells of it."""
    damaged, frame = bytearray(data), b"\x28\xb5\x2f\xfd"
    at = data.find(frame)
    while at >= 0:
        damaged[at + 9] ^= 16
        at = data.find(frame, at + 9)
    return bytes(damaged)


def report(run: InProcess) -> None:
    write_report(run.tables, read_record(run.tables), run.labels)


READERS: dict[str, Callable[[InProcess], object]] = {
    "query": lambda run: query(run.tables, "SELECT * FROM predictions"),
    "one column": lambda run: query(run.tables, "SELECT max(js) FROM predictions"),
    "load": lambda run: raypipe.load(run.tables.uri).arrow("predictions"),
    "compare": lambda run: compare_runs({"a": run.tables}, metrics=["js"], replicates=0),
    "report": report,
    "counts": lambda run: run.counted(run.plan(strategies=["greedy"])),
    "reaggregate": lambda run: [
        read_object(run.tables, name) for name in run.tables.list() if "predictions" in name
    ],
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("where", ["page", "footer"])
def test_what_reads_a_damaged_table_names_the_object(
    run: InProcess, reader: str, where: str
) -> None:
    [name] = [name for name in run.tables.list() if name.startswith("predictions/")]
    path = Path(run.tables.uri, name)
    good = path.read_bytes()
    READERS[reader](run)
    damaged = bytearray(good)
    damaged[-40] ^= 1
    path.write_bytes(pages_flipped(good) if where == "page" else bytes(damaged))
    with pytest.raises(RaypipeError, match=f"{name}(: | is damaged)"):
        READERS[reader](run)


def test_errors_are_checked_as_well(in_process: InProcess) -> None:
    options = {"fail": ["greedy"], "fail_ids": ["u2"]}
    model = {"engine": "fake", "path": "none", "name": "fake", "options": options}
    in_process.finished(strategies=["greedy"], model=model)
    [name] = [name for name in in_process.tables.list() if name.startswith("errors/")]
    path = Path(in_process.tables.uri, name)
    damaged = bytearray(path.read_bytes())
    damaged[-60] ^= 4
    path.write_bytes(bytes(damaged))
    with pytest.raises(RaypipeError, match=name):
        errors_by_cell(in_process.tables, "r", [("fake", "distribution")])


def test_a_damaged_object_in_object_storage_is_named(s3: Any, run: InProcess) -> None:
    bucket = Location.parse(f"s3://{s3.new_bucket()}", s3.endpoint)
    for name in run.tables.list():
        data = run.tables.read(name)
        bucket.write(name, pages_flipped(data) if name.startswith("predictions/") else data)
    assert len(query(bucket, "FROM generations")) == 6
    with pytest.raises(StoreError, match=r"predictions/.* is damaged"):
        query(bucket, "FROM predictions")


def test_other_failures_stay_what_they_are(run: InProcess) -> None:
    with pytest.raises(duckdb.ConversionException):
        query(run.tables, "SELECT utterance_id::INTEGER FROM predictions")
    with pytest.raises(duckdb.BinderException):
        query(run.tables, "SELECT nothing FROM predictions")
    with pytest.raises(ConfigError):
        query(run.tables, "ATTACH 'x'")
    assert damage(run.tables) is None


def test_one_column_is_still_read_alone(run: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checked query of one column reads no object whole."""

    def refuse(*_: Any) -> bytes:
        raise AssertionError("an object is read whole")

    monkeypatch.setattr(Location, "read", refuse)
    assert len(query(run.tables, "SELECT utterance_id FROM generations")) == 6
