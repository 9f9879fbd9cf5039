"""A run read whole: what is damaged, what is miscounted, what the same command makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from edited_record import record_of, write_record_of
from in_process import InProcess
from typer.testing import CliRunner

from raypipe.cli import app
from raypipe.errors import ObjectMissingError
from raypipe.runtime.finish.verify import verify_run
from raypipe.store.location import Location


@pytest.fixture
def run(in_process: InProcess) -> InProcess:
    in_process.reduced(in_process.finished(strategies=["greedy", "w_bon"]))
    return in_process


def object_of(run: InProcess, table: str) -> Path:
    [name] = [name for name in run.tables.sizes() if name.split("/")[0] == table]
    return Path(run.tables.uri, name)


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(bytes(data))


def test_a_whole_run_is_told_so(run: InProcess) -> None:
    found = verify_run(run.tables)
    assert {each.name for each in found.objects} == {*run.tables.sizes()}
    assert found.damaged == found.miscounted == ()
    rows = {each.name.split("/")[0]: each.rows for each in found.objects}
    assert (rows["generations"], rows["predictions"], rows["run.json"]) == (6, 12, None)
    assert all(
        each.has_digest for each in found.objects if each.name.endswith((".parquet", ".json"))
    )


@pytest.mark.parametrize("at", [0, 30, 300, 2000, -9, -100, -1])
def test_any_flipped_bit_of_any_table_is_found(run: InProcess, at: int) -> None:
    for table in ("generations", "predictions", "metrics", "run.json"):
        path = object_of(run, table)
        good = path.read_bytes()
        flip(path, at if abs(at) < len(good) else len(good) // 2)
        assert [each.name for each in verify_run(run.tables).damaged] == [
            str(path.relative_to(run.tables.uri))
        ]
        path.write_bytes(good)


def test_a_record_that_says_otherwise_is_found(run: InProcess) -> None:
    folder = Path(run.tables.uri)
    document = record_of(folder)
    document["counts"]["predicted"] += 1
    document["counts"]["strategies"]["greedy"]["valid"] -= 1
    document["counts"]["errors"] += 2
    write_record_of(folder, document)
    assert [told.partition(":")[0] for told in verify_run(run.tables).miscounted] == [
        *("predicted utterances", "valid rows of greedy", "errors")
    ]
    path = folder / "run.json"
    path.write_text(path.read_text()[:-5])
    assert [each.name for each in verify_run(run.tables).damaged] == ["run.json"]


def test_a_damaged_object_that_is_removed_is_written_again(run: InProcess) -> None:
    """The same command leaves a damaged one alone; what is removed it writes as it was."""
    path = object_of(run, "predictions")
    good = path.read_bytes()
    flip(path, 300)
    assert run.plan(strategies=["greedy", "w_bon"]).is_done
    path.unlink()
    asked = run.plan(strategies=["greedy", "w_bon"])
    assert not asked.is_done
    run.finished(strategies=["greedy", "w_bon"])
    assert path.read_bytes() == good
    assert verify_run(run.tables).damaged == ()


def test_object_storage_is_read_whole_too(s3: Any, run: InProcess) -> None:
    bucket = Location.parse(f"s3://{s3.new_bucket()}", s3.endpoint)
    for name in run.tables.sizes():
        bucket.write(name, run.tables.read(name))
    found = verify_run(bucket)
    assert found.damaged == ()
    assert all(each.has_digest for each in found.objects)
    [name] = [name for name in bucket.list() if name.startswith("predictions/")]
    data = bytearray(bucket.read(name))
    data[300] ^= 4
    s3.client.put_object(Bucket=bucket.uri.removeprefix("s3://"), Key=name, Body=bytes(data))
    assert [each.name for each in verify_run(bucket).damaged] == [name]


def test_the_command_names_what_is_damaged(run: InProcess, tmp_path: Path) -> None:
    whole = CliRunner().invoke(app, ["verify", run.tables.uri], catch_exceptions=False)
    assert whole.exit_code == 0
    assert "0 damaged" in whole.stdout
    flip(object_of(run, "metrics"), 100)
    broken = CliRunner().invoke(app, ["verify", run.tables.uri], catch_exceptions=False)
    assert broken.exit_code == 1
    assert "damaged: metrics/" in broken.stdout
    assert "1 damaged" in broken.stdout
    nothing = CliRunner().invoke(app, ["verify", str(tmp_path / "nothing")])
    assert isinstance(nothing.exception, ObjectMissingError)
