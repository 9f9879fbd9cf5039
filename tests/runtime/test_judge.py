"""Judges behind a real endpoint of whom is known what they do; a budget; a killed job."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from judge_server import JudgeServer, Rule, always_a, at_random, judge_server, longer
from judged_answers import LABELS, two_systems, write_answers
from rich.console import Console
from typer.testing import CliRunner

from raypipe.cli import app
from raypipe.errors import ErrorShareError, StoppedError
from raypipe.runtime.infer.models import make_engine, make_frontend
from raypipe.runtime.judge import job
from raypipe.runtime.judge.config import JudgeConfig
from raypipe.runtime.judge.job import WIN_RATES_FILE, judge
from raypipe.runtime.judge.plan import JudgePlan
from raypipe.runtime.judge.work import judge_part

PAIRS_OF_A_LABEL = 25


def document(server: JudgeServer, folder: Path, output: str, **changes: Any) -> dict[str, Any]:
    """A config of the made-up systems and the server; ``api`` changes that section."""
    first, second = two_systems(300)
    api = {"preset": "vllm", "base_url": server.base_url, "first_wait_s": 0.01, "attempts": 2}
    api |= changes.pop("api", {})
    return {
        "first": {"name": "tuned", "answers": str(write_answers(folder / "1.jsonl", first))},
        "second": {"name": "plain", "answers": str(write_answers(folder / "2.jsonl", second))},
        "per_emotion": PAIRS_OF_A_LABEL,
        "output": str(folder / output),
        "model": {"engine": "openai", "path": "m", "api": api},
        **changes,
    }


def judged(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a job to its end; its win rates, overall first."""
    judge(JudgeConfig.model_validate(config), console=Console(file=io.StringIO()))
    rates: list[dict[str, Any]] = pq.read_table(Path(config["output"]) / WIN_RATES_FILE).to_pylist()
    return rates


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs ask their judge in this process: loading it in Ray's takes seconds each time."""

    def ask(plan: JudgePlan, console: Console) -> None:
        run = plan.context.run_config
        model = make_frontend(run.model), make_engine(run, plan.context.emotion_tokens, ())
        for part in plan.pending:
            judge_part(part, plan.context, model)

    monkeypatch.setattr(job, "_ask_judges", ask)
    monkeypatch.setattr(job, "ray_session", lambda address: nullcontext())


@contextmanager
def judging(rule: Rule, folder: Path) -> Iterator[tuple[JudgeServer, list[dict[str, Any]]]]:
    with judge_server(rule) as server:
        yield server, judged(document(server, folder, rule.__name__))


def test_known_judges_come_out_as_they_are(here: None, runs: Any, tmp_path: Path) -> None:
    pairs = PAIRS_OF_A_LABEL * len(LABELS)
    with judging(always_a, tmp_path) as (server, rates):
        assert len(server.prompts) == 2 * pairs
        assert server.clips == [None] * 2 * pairs
    assert [row["group"] for row in rates] == ["overall", *LABELS]
    for row in rates:
        assert (row["win_rate"], row["win_rate_low"], row["win_rate_high"]) == (0.5, 0.5, 0.5)
        assert (row["inconsistency"], row["position_bias"]) == (1.0, 0.5)
        assert row["position_bias_low"] == row["position_bias_high"] == 0.5

    with judging(longer, tmp_path) as (_, rates):
        rows = runs.rows(tmp_path / "longer", "SELECT * FROM judgements")
    lengths = [(len(row["first_reason"]), len(row["second_reason"])) for row in rows]
    known = sum(1.0 if one > two else 0.5 if one == two else 0.0 for one, two in lengths)
    assert len(rows) == rates[0]["decided"] == pairs
    assert rates[0]["win_rate"] == pytest.approx(known / pairs)
    assert 0.6 < rates[0]["win_rate_low"] < known / pairs < rates[0]["win_rate_high"] < 0.8
    assert rates[0]["inconsistency"] == rates[0]["position_bias"] == 0.0

    with judging(at_random, tmp_path) as (_, rates):
        pass
    assert rates[0]["win_rate_low"] <= 0.5 <= rates[0]["win_rate_high"]
    assert rates[0]["win_rate_low"] != rates[0]["win_rate_high"]
    assert rates[0]["position_bias_low"] <= 0 <= rates[0]["position_bias_high"]
    assert rates[0]["inconsistency"] == pytest.approx(0.5, abs=0.15)
    report = (tmp_path / "at_random" / "report.html").read_text()
    assert "no preference beyond chance" in report


def test_nothing_is_paid_for_twice_and_a_budget_stops_and_goes_on(
    here: None, tmp_path: Path
) -> None:
    with judge_server(longer) as server:
        cache = {"cache": str(tmp_path / "cache")}
        small = document(server, tmp_path, "out", api={**cache, "budget": {"requests": 100}})
        with pytest.raises(StoppedError, match="budget"):
            judged(small)
        asked = len(server.prompts)
        assert 0 < asked <= 110
        whole = document(server, tmp_path, "out", api=cache)
        rates = judged(whole)
        assert len(server.prompts) == 2 * PAIRS_OF_A_LABEL * len(LABELS)
        assert judged(whole) == rates
        assert judged({**whole, "output": str(tmp_path / "again")}) == rates
        assert len(server.prompts) == 2 * PAIRS_OF_A_LABEL * len(LABELS)


def test_questions_that_fail_are_errors_and_are_asked_again(
    here: None, runs: Any, tmp_path: Path
) -> None:
    with judge_server(longer, failing=("first 22",)) as server:
        config = document(server, tmp_path, "out", api={"attempts": 1}, max_error_fraction=0.0)
        with pytest.raises(ErrorShareError, match="engine"):
            judged(config)
        errors = runs.rows(tmp_path / "out", "SELECT * FROM errors")
        failed = {row["utterance_id"] for row in errors}
        assert failed
        assert all(name.startswith("u22") for name in failed)
        server.failing = ()
        asked = len(server.prompts)
        rates = judged(config)
        assert rates[0]["pairs"] == PAIRS_OF_A_LABEL * len(LABELS)
        assert len(server.prompts) > asked
        assert runs.rows(tmp_path / "out", "SELECT * FROM errors") == []


def test_the_command_lets_a_judge_hear_and_shows_what_came_of_it(
    ray_cluster: None, runs: Any, tmp_path: Path
) -> None:
    from in_process import utterance

    shards = runs.shards([utterance(f"u{at}", 0.1) for at in range(300)], tmp_path / "s", 100)
    with judge_server(longer) as server:
        config = document(server, tmp_path, "out", shards=str(shards), audio=True, per_emotion=2)
        file = tmp_path / "judge.yaml"
        file.write_text(yaml.safe_dump(config))
        shown = CliRunner().invoke(app, ["judge", str(file)], env={"COLUMNS": "160"})
        assert shown.exit_code == 0, f"{shown.output}\n{shown.exception!r}"
        assert len(server.clips) == 24
        assert all(server.clips)
    assert "against plain over 12 pairs" in shown.output
    assert "12 pairs in = 12 judged + 0 errors" in shown.output
    report = tmp_path / "out" / "report.html"
    written = report.read_bytes()
    report.unlink()
    again = CliRunner().invoke(app, ["report", str(tmp_path / "out")])
    assert again.exit_code == 0, again.output
    assert report.read_bytes() == written


@pytest.mark.slow  # two more Rays; test_interruption.py kills a run of the same spine
def test_a_killed_job_continues_to_the_same_table(ray_cluster: None, tmp_path: Path) -> None:
    def slowly(prompt: str, reason_a: str, reason_b: str) -> str:
        time.sleep(0.05)
        return longer(prompt, reason_a, reason_b)

    with judge_server(slowly) as server:
        config = document(server, tmp_path, "killed")
        file = tmp_path / "judge.yaml"
        file.write_text(yaml.safe_dump(config))
        command = [sys.executable, "-m", "raypipe", "judge", str(file)]
        process = subprocess.Popen(
            command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 120
        while not list((tmp_path / "killed").glob("judgements/**/*.parquet")):
            assert process.poll() is None, "the job ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        again = subprocess.run(command, capture_output=True, text=True, check=False)
        assert again.returncode == 0, again.stderr
        judged({**config, "output": str(tmp_path / "calm")})
    names = [
        path.relative_to(tmp_path / "calm")
        for path in sorted((tmp_path / "calm").rglob("*.parquet"))
    ]
    assert len(names) > 3
    for name in names:
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "calm" / name).read_bytes()
