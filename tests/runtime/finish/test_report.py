"""``report.html`` from the tables and the record of a run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from in_process import InProcess, utterance

from raypipe.errors import StoreError
from raypipe.runtime.finish.report import write_report
from raypipe.store.run_record import read_record


@pytest.fixture
def run(fake_engine: None, tmp_path: Path) -> InProcess:
    """A finished run, without metrics/ so far; one utterance had no answer."""
    runs = InProcess(tmp_path)
    runs.write(*(utterance(f"u{number}") for number in range(6)), rows_per_shard=3)
    return runs


OPTIONS = {"fail": ["greedy"], "fail_ids": ["u3"]}
MODEL = {"engine": "fake", "path": "none", "name": "fake", "options": OPTIONS}


def test_it_is_what_the_tables_say_whenever_it_is_written(run: InProcess) -> None:
    plan = run.finished(strategies=["greedy", "w_bon"], model=MODEL)
    run.reduced(plan)
    page = run.tables.read("report.html").decode()
    assert "w_bon" in page
    assert "made_up" in page
    run.tables.write("report.html", b"")
    write_report(run.tables, read_record(run.tables), plan.context.labels)
    assert run.tables.read("report.html").decode() == page


def test_it_holds_recordings_as_long_as_there_are_any(run: InProcess) -> None:
    plan = run.finished(strategies=["greedy", "w_bon"], model=MODEL)
    run.reduced(plan)

    def page(**options: bool) -> str:
        write_report(run.tables, read_record(run.tables), plan.context.labels, **options)
        return run.tables.read("report.html").decode()

    assert page().count("<audio controls") == 5
    silent = page(with_audio=False)
    assert "<audio" not in silent
    assert "not at hand" not in silent
    shutil.rmtree(run.shards)
    gone = page()
    assert "<audio" not in gone
    assert "The audio is not at hand: the shard" in gone
    assert gone.count("Recording: not at hand.") == 5


def test_a_run_without_metrics_is_told_so(run: InProcess) -> None:
    plan = run.finished(strategies=["greedy"])
    with pytest.raises(StoreError, match=r"^/\S+: no metrics/, so there is nothing to report"):
        write_report(run.tables, read_record(run.tables), plan.context.labels)
