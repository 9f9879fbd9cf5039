"""A submitted script tells in one line what is wrong, and in its exit code whether all is well."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from raypipe.errors import ConfigError
from raypipe.runtime.ray.submitted import submitted
from raypipe.store.run_record import RunCounts, RunRecord


@dataclass(frozen=True)
class Config:
    output: str = "runs/mine"


def load(path: str) -> Config:
    assert path == "c.yaml"
    return Config()


def finished(config: Config, console: Console) -> RunRecord:
    console.print(f"doing {config.output}")
    return RunRecord(
        name="job",
        run="r",
        status="finished",
        fingerprint="f",
        generation_fingerprint="f",
        labels=("a", "b"),
        config={},
        seed=0,
        versions={},
        started=datetime.now(UTC).isoformat(),
        counts=RunCounts(input=3, predicted=2, errors=1, strategies={}),
    )


def refused(config: Config, console: Console) -> RunRecord:
    raise ConfigError("c.yaml: [output] is missing " + "and more is wrong " * 20)


@pytest.fixture(autouse=True)
def arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["job.py", "--config", "c.yaml"])


def test_a_finished_job_prints_its_counts(capsys: pytest.CaptureFixture[str]) -> None:
    shown: list[str] = []
    code = submitted("Do it.", load, finished, lambda config, _: shown.append(config.output))
    assert code == 0
    assert shown == ["runs/mine"]
    told = capsys.readouterr().out
    assert "doing runs/mine" in told
    assert '"predicted": 2' in told


def test_a_log_begins_and_ends_with_places_that_can_be_found_from_anywhere(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert submitted("Do it.", load, finished) == 0
    lines = capsys.readouterr().out.splitlines()
    places = [
        f"config: {tmp_path}/c.yaml",
        f"output: {tmp_path}/runs/mine",
        f"report: {tmp_path}/runs/mine/report.html",
    ]
    assert lines[:3] == lines[-3:] == places
    assert submitted("Do it.", lambda _: Config("s3://b/out"), finished, has_report=False) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "output: s3://b/out"


def test_an_error_is_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert submitted("Do it.", load, refused) == 1
    *_, line = capsys.readouterr().out.splitlines()
    assert line.startswith("ConfigError: c.yaml: [output] is missing and more")


def test_a_job_that_is_stopped_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    def stopped(config: Config, console: Console) -> RunRecord:
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt as interrupt:
            interrupt.args = ("stopped at 1 of 3 utterances; the same command continues",)
            raise
        raise AssertionError("SIGTERM went by")

    assert submitted("Do it.", load, stopped) == 143
    *_, line = capsys.readouterr().out.splitlines()
    assert line == "stopped at 1 of 3 utterances; the same command continues"
