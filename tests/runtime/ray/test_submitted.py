"""A submitted script tells in one line what is wrong, and in its exit code whether all is well."""

from __future__ import annotations

import signal
from datetime import UTC, datetime

import pytest
from rich.console import Console

from raypipe.errors import ConfigError
from raypipe.runtime.ray.submitted import submitted
from raypipe.store.run_record import RunCounts, RunRecord


def finished(config: str, console: Console) -> RunRecord:
    console.print(f"doing {config}")
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


def refused(config: str, console: Console) -> RunRecord:
    raise ConfigError("c.yaml: [output] is missing " + "and more is wrong " * 20)


@pytest.fixture(autouse=True)
def arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["job.py", "--config", "c.yaml"])


def test_a_finished_job_prints_its_counts(capsys: pytest.CaptureFixture[str]) -> None:
    shown: list[str] = []
    code = submitted("Do it.", str.upper, finished, lambda config, _: shown.append(config))
    assert code == 0
    assert shown == ["C.YAML"]
    told = capsys.readouterr().out
    assert "doing C.YAML" in told
    assert '"predicted": 2' in told


def test_an_error_is_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert submitted("Do it.", str, refused) == 1
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith("ConfigError: c.yaml: [output] is missing and more")


def test_a_job_that_is_stopped_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    def stopped(config: str, console: Console) -> RunRecord:
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt as interrupt:
            interrupt.args = ("stopped at 1 of 3 utterances; the same command continues",)
            raise
        raise AssertionError("SIGTERM went by")

    assert submitted("Do it.", str, stopped) == 143
    [line] = capsys.readouterr().out.splitlines()
    assert line == "stopped at 1 of 3 utterances; the same command continues"
