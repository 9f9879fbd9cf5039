"""How far a run is, from objects that are there and objects that are not."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from in_process import InProcess, utterance
from typer.testing import CliRunner

from raypipe.cli import app
from raypipe.engines.engine import Usage
from raypipe.errors import ObjectMissingError
from raypipe.runtime.finish.status import QUIET_S, run_progress
from raypipe.store.location import Location
from raypipe.store.run_record import write_record


@pytest.fixture
def run(fake_engine: None, tmp_path: Path) -> InProcess:
    runs = InProcess(tmp_path)
    runs.write(*(utterance(f"u{number}") for number in range(9)), rows_per_shard=3)
    runs.reduced(runs.finished(strategies=["greedy"]))
    return runs


def predictions(run: InProcess) -> list[Path]:
    names = [name for name in run.tables.list() if name.startswith("predictions/")]
    return [Path(run.tables.uri, name) for name in names]


def stopped_after(run: InProcess, shards: int) -> None:
    for path in predictions(run)[shards:]:
        path.unlink()
    record = run_progress(run.tables).record
    write_record(run.tables, record.changed(status="running", counts=None, finished=None))


def test_a_finished_run_is_whole(run: InProcess) -> None:
    found = run_progress(run.tables)
    [cell] = found.cells
    assert found.record.status == "finished"
    assert (cell.shards, cell.utterances) == (found.shards, found.utterances) == (3, 9)
    assert found.left_s is None
    assert not found.may_be_dead


def test_a_run_that_was_killed_says_what_is_there(run: InProcess) -> None:
    stopped_after(run, 2)
    old = time.time() - 2 * QUIET_S
    for path in Path(run.tables.uri).rglob("*"):
        os.utime(path, (old, old))
    found = run_progress(run.tables)
    [cell] = found.cells
    assert (cell.shards, cell.utterances, found.shards, found.utterances) == (2, 6, 3, 9)
    assert found.may_be_dead
    assert found.quiet_s >= 2 * QUIET_S - 60
    shown = CliRunner().invoke(app, ["status", run.tables.uri]).stdout
    assert "6 of 9 utterances, 2 of 3 shards" in shown
    assert "the same command continues it" in shown


def test_the_rate_is_that_of_the_last_objects(run: InProcess) -> None:
    now = time.time()
    for number, path in enumerate(predictions(run)):
        os.utime(path, (now - 40 + 20 * number,) * 2)
    record = run_progress(run.tables).record
    write_record(run.tables, record.changed(status="running"))
    found = run_progress(run.tables)
    assert found.shards_per_s == pytest.approx(2 / 40)
    assert found.left_s == 0.0
    older = predictions(run)[0]
    os.utime(older, (now - 5000,) * 2)
    assert run_progress(run.tables).shards_per_s is None  # two objects are no rate


def test_a_corpus_out_of_reach_costs_only_the_totals(run: InProcess) -> None:
    shutil.rmtree(run_progress(run.tables).record.config["input"]["shards"])
    found = run_progress(run.tables)
    assert found.corpus_fault is not None
    assert (found.shards, found.cells[0].shards, found.cells[0].utterances) == (None, 3, None)
    document = json.loads(CliRunner().invoke(app, ["status", run.tables.uri, "--json"]).stdout)
    assert document["cells"][0]["shards"] == 3
    assert document["shards"] is None


def test_what_services_were_asked_for_is_the_sum_of_all_attempts_accounts(run: InProcess) -> None:
    assert run_progress(run.tables).usage is None
    place = run.tables.child("api_usage")
    first = {"requests": 25, "cached": 3, "prompt_tokens": 1200, "output_tokens": 70, "cost": 0.5}
    for name, account in (("a", first), ("b", {**first, "requests": 1000, "cost": 0.25})):
        place.write(f"{name}.json", json.dumps(account).encode())
    found = run_progress(run.tables)
    assert found.usage == Usage(1025, 6, 2400, 0, 140, 0.75)
    assert len(found.cells) == 1
    shown = CliRunner().invoke(app, ["status", run.tables.uri]).stdout
    told = "1,025 requests sent, 6 answers from the cache; 2,400 tokens in, 140 out; cost 0.7500"
    assert told in shown
    document = json.loads(CliRunner().invoke(app, ["status", run.tables.uri, "--json"]).stdout)
    assert document["api_usage"]["cost"] == 0.75


def test_no_run_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(ObjectMissingError):
        run_progress(Location.parse(str(tmp_path)))


@pytest.mark.parametrize(
    ("quiet_s", "shards_per_s", "shards", "left_s"),
    [
        *((59.0, 1.0, 4, 2.0), (61.0, 1.0, 4, None), (61.0, 0.1, 4, 20.0), (101.0, 0.1, 4, None)),
        (1000.0, 1.0, 2, 0.0),  # its tables are being reduced
    ],
)
def test_what_stands_still_is_not_told_when_it_will_be_done(
    run: InProcess, quiet_s: float, shards_per_s: float, shards: int, left_s: float | None
) -> None:
    stopped_after(run, 2)
    found = replace(
        run_progress(run.tables), shards=shards, quiet_s=quiet_s, shards_per_s=shards_per_s
    )
    assert found.left_s == left_s
    assert found.is_stuck is (left_s is None)
