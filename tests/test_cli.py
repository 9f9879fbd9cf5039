"""The command line as a user meets it: a process, its output, its exit code."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from in_process import InProcess, utterance

from raypipe.labels import LABEL_SETS
from raypipe.records import Utterance, Vote
from raypipe.shards import write_shards
from raypipe.store.location import Location
from raypipe.store.schemas import METRICS


def raypipe(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "raypipe", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
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
    known = ("demo", "run", "corpora", "ingest", "inspect", "reaggregate", "query", "report")
    for command in (*known, "doctor", "selfcheck", "models", "features", "heads"):
        assert command in shown.stdout


def test_models_says_what_runs_and_how_it_was_verified() -> None:
    shown = raypipe("models")
    assert shown.returncode == 0, shown.stderr
    for words in ("Qwen2-Audio", "Flamingo", "Voxtral", "plain", "window", "generate", "openai"):
        assert words in shown.stdout


@pytest.mark.parametrize("environment", [{"COLUMNS": "80"}, {"COLUMNS": "200"}, {"TERM": "dumb"}])
def test_models_fit_80_columns_with_every_name_whole(environment: dict[str, str]) -> None:
    shown = raypipe("models", **environment)
    assert shown.returncode == 0, shown.stderr
    assert max(len(line) for line in shown.stdout.splitlines()) <= 80
    document = json.loads(raypipe("models", "--json").stdout)
    for listed in document["models"]:
        assert f"  {listed['name']} " in shown.stdout
        assert (listed["licence"] or "?").split()[0] in shown.stdout
    for word in ("gated", "plug-in salmonn", "stand-in", "random checkpoint", "Published weights"):
        assert word in shown.stdout


def test_models_are_listed_as_json_too() -> None:
    shown = raypipe("models", "--json")
    assert shown.returncode == 0, shown.stderr
    document = json.loads(shown.stdout)
    assert set(document) == {
        *("families", "models", "own_loaders", "elsewhere", "proofs", "plugins"),
    }
    assert "Ultravox" in {family["name"] for family in document["families"]}
    assert {listed["proved"] for listed in document["models"]} == set(document["proofs"])


def test_a_wrong_config_stops_with_one_clear_message(tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text("input: {shards: x}\noutput: y\nmodle: {}\n")
    stopped = raypipe("run", str(config))
    assert stopped.returncode == 1
    assert "ConfigError" in stopped.stderr
    assert "modle: unknown key" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert not (tmp_path / "y").exists()


def test_a_model_that_is_not_there_stops_a_run_with_one_line(tmp_path: Path) -> None:
    runs = InProcess(tmp_path)
    runs.write(utterance("u0"))
    config = tmp_path / "run.yaml"
    shards, output, model = runs.shards, tmp_path / "out", tmp_path / "model"
    config.write_text(f"input: {{shards: {shards}}}\noutput: {output}\nmodel: {{path: {model}}}\n")
    stopped = raypipe("run", str(config))
    assert stopped.returncode == 1
    assert stopped.stderr == f"ConfigError: model {model}: no such folder\n"
    assert not output.exists()


def run_of_two(folder: Path, **changes: str) -> Path:
    """A config file of the bundled model over two clips."""
    runs = InProcess(folder)
    runs.write(utterance("u0"), utterance("u1"))
    settings = {"input": f"{{shards: {runs.shards}}}", "output": str(folder / "out"), **changes}
    config = folder / "run.yaml"
    config.write_text("".join(f"{name}: {value}\n" for name, value in settings.items()))
    return config


def test_doctor_shows_a_run_in_80_columns_and_tries_it(tmp_path: Path) -> None:
    config = run_of_two(tmp_path, resources="{gpus_per_actor: 0}")
    shown = raypipe("doctor", str(config), "--try", "1")
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    for words in (
        *("2 utterances, 1 s of audio", "Qwen2-Audio", "12 audio tokens", "several hypotheses"),
        *("Nothing stands in its way.", "annotators", "estimate for the whole corpus"),
    ):
        assert words in shown.stdout, words
    assert not (tmp_path / "out").exists()


def test_doctor_names_what_stands_in_a_run_s_way(tmp_path: Path) -> None:
    config = run_of_two(tmp_path, model="{path: /nowhere/at/all}")
    shown = raypipe("doctor", str(config), "--try", "1")
    assert shown.returncode == 1
    assert "This run would not begin" in shown.stdout
    assert "no such folder: / has no nowhere" in shown.stdout
    assert shown.stderr == ""


def test_doctor_prints_json_and_nothing_else(tmp_path: Path) -> None:
    config = run_of_two(tmp_path, resources="{gpus_per_actor: 0}")
    shown = raypipe("doctor", str(config), "--json")
    document = json.loads(shown.stdout)
    assert document["faults"] == []
    assert document["corpus"]["utterances"] == 2
    assert document["models"][0]["turns"][0]["turn"]["audio_tokens"] == 12


def test_query_prints_a_table(tables: Path) -> None:
    answer = raypipe("query", "SELECT avg(js) AS mean FROM predictions", "--run", str(tables))
    assert answer.returncode == 0, answer.stderr
    assert "mean" in answer.stdout
    assert "0.5" in answer.stdout


def test_query_prints_csv(tables: Path) -> None:
    sql = "SELECT utterance_id, js FROM predictions ORDER BY 1"
    answer = raypipe("query", sql, "--run", str(tables), "--csv")
    assert answer.stdout.splitlines() == ['"utterance_id","js"', '"a",0.25', '"b",0.75']


def test_query_prints_json_of_several_runs(tables: Path) -> None:
    other = tables.with_name("[other]")
    shutil.copytree(tables, other)
    sql = "SELECT source, [js] AS scores FROM predictions ORDER BY ALL"
    answer = raypipe("query", sql, "--run", str(tables), "--run", str(other), "--json")
    assert answer.returncode == 0, answer.stderr
    places = sorted([str(tables), str(other)])
    assert json.loads(answer.stdout) == [
        {"source": place, "scores": [js]} for place in places for js in (0.25, 0.75)
    ]


def test_query_writes_a_parquet_file_and_never_over_one(tables: Path) -> None:
    place = tables / "answer.parquet"
    arguments = ("SELECT [js] AS scores FROM predictions", "--run", str(tables))
    for text in (place, place):
        answer = raypipe("query", *arguments, "--parquet", str(text))
        assert answer.stdout == ""
    assert answer.returncode == 1
    assert "is there already" in answer.stderr
    assert pq.read_table(place)["scores"].to_pylist() == [[0.25], [0.75]]


@pytest.mark.parametrize("columns", ["80", "400"])
def test_query_shows_every_character_of_a_cell(tables: Path, columns: str) -> None:
    """Rich would take brackets for markup, and stop at one that closes nothing."""
    sql = "SELECT 'w_bon[beams=3of5]' AS \"[b]\", '[/x]' AS x, repeat('long ', 40) AS wide"
    answer = raypipe("query", sql, "--run", str(tables), COLUMNS=columns)
    assert answer.returncode == 0, answer.stderr
    for text in ("[b]", "w_bon[beams=3of5]", "[/x]", ("long " * 40).strip()):
        assert text in answer.stdout
    assert ("row 1" in answer.stdout) == (columns == "80")


def test_query_prints_latex_of_the_main_metrics(tmp_path: Path) -> None:
    folder = tmp_path / "run/metrics/model=m/prompt=p"
    folder.mkdir(parents=True)
    row = {"strategy": "w_bon", "slice": "all", "versus": None, "labels": None, "n": 400}
    scores = {"metric": "js", "value": 0.1562, "ci_low": 0.141, "ci_high": 0.1723}
    rows = [row | scores, row | scores | {"slice": "split=test"}, row | scores | {"versus": "bon"}]
    pq.write_table(pa.Table.from_pylist(rows, METRICS.remove(0).remove(0)), folder / "m.parquet")
    run = ("--run", str(tmp_path / "run"))
    answer = raypipe("query", "--latex", *run, *run)
    assert answer.returncode == 0, answer.stderr
    assert r"w\_bon & 0.156 {\scriptsize [0.141, 0.172]} \\" in answer.stdout


def test_query_says_what_it_cannot_do(tables: Path) -> None:
    run = ("--run", str(tables))
    for arguments, words in (
        ((), "say what to ask"),
        (("SELECT 1", "--csv", "--json"), "choose one"),
        (("SELECT 1 AS a, 2 AS a", "--json"), "several columns are called a"),
    ):
        answer = raypipe("query", *arguments, *run)
        assert answer.returncode != 0
        assert words in " ".join(answer.stderr.replace("│", " ").split())
        assert "Traceback" not in answer.stderr


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
        '{"id": "a", "audio": "a.wav", "votes": ["angry", "glad", "bored"]}\n'
        '{"audio": "a.wav", "votes": ["angry"]}\n'
    )
    arguments = ("ingest", "manifest", str(manifest), str(tmp_path / "shards"))
    done = raypipe(
        *(*arguments, "--label-set", "anger,happiness,other", "--option", "other_labels=bored"),
        *("--outside", "other", "--merge", "glad=happiness", "--audio", "original"),
    )
    assert done.returncode == 0, done.stderr
    shown = " ".join(done.stdout.split())
    assert "2/2 clips" in shown
    assert "votes in the label set 3 anger, happiness, other" in shown
    assert "1 utterances in 1 shards, 1 failures, 0 left out" in shown
    assert "clips.jsonl line 2" in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("manifest", "m.jsonl", "--label-set", "crema-d-7"), "crema-d-6"),
        (("tess", "x"), "crema-d"),
        (("emodb", "x", "--selection", "4"), "it has: all"),
        (("emodb", "x", "--option", "a"), "'a' is not key=value"),
        (("emodb", "x", "--audio", "mp3"), "'flac' or 'original'"),
        (("emodb", "x"), "there is nothing in"),
    ],
)
def test_ingest_refuses_what_cannot_work(
    tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = raypipe("ingest", *arguments[:2], str(tmp_path / "out"), *arguments[2:])
    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_corpora_lists_them_and_tells_all_of_one() -> None:
    listed = raypipe("corpora")
    assert listed.returncode == 0, listed.stderr
    assert "crema-d" in listed.stdout
    documents = json.loads(raypipe("corpora", "--json").stdout)
    assert {"crema-d", "emodb"} < {one["name"] for one in documents}
    one = json.loads(raypipe("corpora", "crema-d", "--json").stdout)
    assert one["selections"][0]["policy"]["aliases"] is False
    unknown = raypipe("corpora", "timit")
    assert unknown.returncode == 1
    assert "'timit'" in unknown.stderr


@pytest.fixture
def shards(tmp_path: Path, encode, tone) -> Path:
    votes = (Vote("a", ("angry",)), Vote("b", ("neutral",)))
    one = Utterance("u", "clips", None, None, encode(tone(0.5)), 16_000, 0.5, votes=votes)
    place = Location.parse(str(tmp_path / "shards"))
    write_shards([one], place, LABEL_SETS["crema-d-6"], source="a test")
    return tmp_path / "shards"


def test_inspect_prints_tables_or_json_and_writes_a_page(shards: Path, tmp_path: Path) -> None:
    shown = raypipe("inspect", str(shards))
    assert shown.returncode == 0, shown.stderr
    assert "2 that count" in shown.stdout
    told = raypipe(
        "inspect",
        str(shards),
        "--json",
        "--slice-by",
        "dataset",
        "--output",
        str(tmp_path / "told"),
    )
    assert told.returncode == 0, told.stderr
    assert {one.name for one in (tmp_path / "told").iterdir()} == {"inspect.html", "inspect.json"}
    found = json.loads(told.stdout)
    assert (found["utterances"], found["votes"]["ties"]) == (1, {"2": 1})
    assert [one["name"] for one in found["slices"]] == ["clips"]


def test_inspect_of_a_damaged_corpus_shows_the_rest_and_fails(shards: Path) -> None:
    [shard] = shards.glob("shard-*.parquet")
    shard.write_bytes(b"not Parquet")
    shown = raypipe("inspect", str(shards))
    assert shown.returncode == 1
    assert f"{shard.name} (1 utterances)" in " ".join(shown.stdout.split())
