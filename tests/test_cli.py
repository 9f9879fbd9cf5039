"""The command line as a user meets it: a process, its output, its exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest


def raypipe(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "raypipe", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=None,
    )


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    folder = tmp_path / "run/predictions/model=m/prompt=p"
    folder.mkdir(parents=True)
    rows = {"utterance_id": ["a", "b"], "strategy": ["greedy"] * 2, "js": [0.25, 0.75]}
    pq.write_table(pa.table(rows), folder / "shard-000000.parquet")
    return tmp_path / "run"


def test_help_names_every_way_in() -> None:
    shown = raypipe("--help")
    assert shown.returncode == 0
    for command in ("demo", "run", "ingest", "query", "report", "selfcheck", "models"):
        assert command in shown.stdout


def test_models_says_what_runs_and_how_it_was_verified() -> None:
    shown = raypipe("models")
    assert shown.returncode == 0, shown.stderr
    for words in ("Qwen2-Audio", "Flamingo", "window", "generate"):
        assert words in shown.stdout


def test_a_wrong_config_stops_with_one_clear_message(tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text("input: {shards: x}\noutput: y\nmodle: {}\n")
    stopped = raypipe("run", str(config))
    assert stopped.returncode == 1
    assert "ConfigError" in stopped.stderr
    assert "modle: unknown key" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert not (tmp_path / "y").exists()


def test_query_prints_a_table(tables: Path) -> None:
    answer = raypipe("query", "SELECT avg(js) AS mean FROM predictions", "--run", str(tables))
    assert answer.returncode == 0, answer.stderr
    assert "mean" in answer.stdout
    assert "0.5" in answer.stdout


def test_query_prints_csv(tables: Path) -> None:
    sql = "SELECT utterance_id, js FROM predictions ORDER BY 1"
    answer = raypipe("query", sql, "--run", str(tables), "--csv")
    assert answer.stdout.splitlines() == ['"utterance_id","js"', '"a",0.25', '"b",0.75']


@pytest.mark.parametrize(
    ("sql", "words"), [("SELEC 1", "syntax"), ("FROM nothing", "nothing"), ("", "empty")]
)
def test_wrong_sql_is_explained(tables: Path, sql: str, words: str) -> None:
    answer = raypipe("query", sql, "--run", str(tables))
    assert answer.returncode != 0
    assert words in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_folder_without_tables_is_named(tmp_path: Path) -> None:
    answer = raypipe("query", "SELECT 1", "--run", str(tmp_path))
    assert answer.returncode == 1
    assert str(tmp_path) in answer.stderr.replace("\n", "")


def test_ingest_tells_what_it_took_and_what_not(tmp_path: Path, encode, tone) -> None:
    (tmp_path / "a.wav").write_bytes(encode(tone(0.5)))
    manifest = tmp_path / "clips.jsonl"
    manifest.write_text(
        '{"id": "a", "audio": "a.wav", "votes": ["angry", "neutral", "bored"]}\n'
        '{"audio": "a.wav", "votes": ["angry"]}\n'
    )
    arguments = ("ingest", str(manifest), str(tmp_path / "shards"), "--label-set", "crema-d-6")
    done = raypipe(*arguments, "--other-labels", "bored")
    assert done.returncode == 0, done.stderr
    shown = " ".join(done.stdout.split())
    assert "1 utterances in 1 shards, 1 failures" in shown
    assert "clips.jsonl line 2" in shown


def test_ingest_refuses_an_unknown_label_set(tmp_path: Path) -> None:
    done = raypipe("ingest", "m.jsonl", str(tmp_path / "out"), "--label-set", "crema-d-7")
    assert done.returncode == 1
    assert "crema-d-6" in done.stderr
