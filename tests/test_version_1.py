"""What version 1 of the tables wrote is read as it stands; only an unfinished run is refused.

The files in ``data/version_1`` were written by version 0.1.0, see ``make_version_1.py`` there.
What needs Ray (``reaggregate``, ``run``) is in ``runtime/test_version_1.py``.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from in_process import InProcess
from typer.testing import CliRunner

import raypipe
from raypipe.cli import app
from raypipe.config import parse_config
from raypipe.errors import FingerprintError
from raypipe.records import Utterance
from raypipe.runtime.infer.plan import make_plan
from raypipe.shards import read_index, read_shard
from raypipe.store.location import Location
from raypipe.store.run_record import read_record

HERE = Path(__file__).parent / "data" / "version_1"
SHARDS, RUN = HERE / "shards", HERE / "run"
STRATEGIES = ["greedy", "token", "w_bon", "bon", "cot"]
UTTERANCES = 4


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """The rows of every file below, as they stand there."""
    files = sorted(folder.rglob("*.parquet"))
    return [row for path in files for row in pq.ParquetFile(path).read().to_pylist()]


def shown(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(RUN, tmp_path / "run"))


def unfinished(copy: Path) -> Path:
    """The run as it would stand there had it been killed over its last shard."""
    record = json.loads((copy / "run.json").read_text())
    for name in ("finished", "seconds", "counts", "timings"):
        record.pop(name, None)
    (copy / "run.json").write_text(json.dumps({**record, "status": "running"}))
    for path in copy.rglob("predictions/**/shard-000001.parquet"):
        path.unlink()
    return copy


def test_the_files_are_of_version_1() -> None:
    assert json.loads((SHARDS / "shards.json").read_text())["format_version"] == 1
    assert "version" not in json.loads((RUN / "run.json").read_text())
    for path in HERE.rglob("*.parquet"):
        assert b"raypipe.version" not in (pq.read_metadata(path).metadata or {})


def test_inspect_counts_the_shards_of_version_1() -> None:
    document = json.loads(shown("inspect", SHARDS, "--json"))
    raw = [
        row for path in SHARDS.glob("*.parquet") for row in pq.ParquetFile(path).read().to_pylist()
    ]
    assert document["problems"] == []
    assert raypipe.inspect(SHARDS).utterances == len(raw) == UTTERANCES
    assert "4" in shown("inspect", SHARDS)


def test_shards_of_version_1_hold_utterances_without_notes() -> None:
    place = Location.parse(str(SHARDS))
    rows = [row for entry in read_index(place).shards for row in read_shard(place, entry)]
    assert len({row.utterance_id for row in rows}) == UTTERANCES
    for row in rows:
        assert isinstance(row, Utterance)
        assert row.audio_marks is None
        assert row.facts == {}
        assert row.audio[:4] == b"fLaC"


def test_new_columns_of_a_version_1_run_are_null() -> None:
    run = raypipe.load(RUN)
    counts = run.query(
        "SELECT count(*) AS rows, count(questions) AS questions, count(facts) AS facts,"
        " count(audio_marks) AS marks, count(emotion_logits) AS logits FROM generations"
    ).to_pylist()
    assert counts == [{"rows": UTTERANCES, "questions": 0, "facts": 0, "marks": 0, "logits": 0}]
    (told,) = run.query(
        "SELECT count(facts) AS f, count(audio_marks) AS m FROM predictions"
    ).to_pylist()
    assert told == {"f": 0, "m": 0}


def test_new_fields_of_hypotheses_are_null_and_old_ones_are_still_there() -> None:
    run = raypipe.load(RUN)
    (counts,) = run.query(
        "SELECT count(*) AS n, count(h.alpha) AS alphas, count(h.search_score) AS scores,"
        " count(h.emotion_logits) AS logits FROM (SELECT unnest(hypotheses) AS h FROM generations)"
    ).to_pylist()
    hypotheses = UTTERANCES * 4  # greedy, two beams, a chain of thought
    assert counts == {"n": hypotheses, "alphas": hypotheses, "scores": 0, "logits": hypotheses}


def picked(row: Any, like: Any) -> Any:
    """Of a value the fields that another one has, at every depth."""
    if isinstance(like, dict):
        return {name: picked(row[name], value) for name, value in like.items()}
    if isinstance(like, list):
        return [picked(*pair) for pair in zip(row, like, strict=True)]
    return row


def test_old_columns_of_a_version_1_run_are_as_they_were() -> None:
    run = raypipe.load(RUN)
    for table in ("generations", "predictions", "metrics"):
        raw = rows_of(RUN / table)
        read = run.arrow(table).to_pylist()
        assert len(read) == len(raw)
        for row, before in zip(read, raw, strict=True):
            assert repr(picked(row, before)) == repr(before), table


def test_query_and_csv_take_model_and_prompt_once() -> None:
    lines = shown(
        "query",
        "SELECT model, prompt, strategy, count(*) AS n FROM predictions GROUP BY ALL ORDER BY ALL",
        "--run",
        RUN,
        "--csv",
    ).splitlines()
    assert lines[1:] == [f'"tiny-alm","distribution","{name}",4' for name in sorted(STRATEGIES)]


def test_the_record_of_a_version_1_run_is_read() -> None:
    record = read_record(Location.parse(str(RUN)))
    assert (record.version, record.status, record.labels[0]) == (1, "finished", "anger")
    assert record.done_counts.input == UTTERANCES
    assert {*record.done_counts.strategies} == {*STRATEGIES}
    assert record.versions["raypipe"].startswith("0.1")


def test_load_gives_a_version_1_run_as_tables() -> None:
    run = raypipe.load(RUN)
    assert run.tables == ("generations", "predictions", "metrics", "errors")
    frame = run.pandas("predictions")
    assert len(frame) == UTTERANCES * len(STRATEGIES)
    valid = frame[frame.valid]
    np.testing.assert_allclose([sum(probs) for probs in valid.probs], 1.0, atol=1e-9)


def test_report_of_a_version_1_run_is_written_anew(copy: Path) -> None:
    assert not (copy / "report.html").exists()
    output = shown("report", copy)
    page = (copy / "report.html").read_text()
    for strategy in STRATEGIES:
        assert strategy in output
        assert strategy in page


@pytest.mark.usefixtures("fake_engine")
def test_shards_of_version_1_need_no_new_ingest(tmp_path: Path) -> None:
    run = InProcess(tmp_path, shards=SHARDS)
    run.answered(strategies=["greedy", "w_bon"])
    rows = run.rows("SELECT utterance_id, valid, audio_marks, facts FROM predictions")
    assert len(rows) == 2 * 2  # strategies and rows of the first shard
    assert all(row["valid"] for row in rows)
    assert all(row["audio_marks"] is None and row["facts"] is None for row in rows)


@pytest.mark.usefixtures("fake_engine")
@pytest.mark.parametrize("is_finished", [False, True])
def test_a_version_1_run_is_not_continued_and_one_line_says_so(
    copy: Path, tmp_path: Path, is_finished: bool
) -> None:
    output = copy if is_finished else unfinished(copy)
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    document = {
        "input": {"shards": str(SHARDS)},
        "output": str(output),
        "model": {"engine": "fake", "path": "none"},
    }
    with pytest.raises(FingerprintError) as refused:
        make_plan(parse_config(document))
    message = str(refused.value)
    assert "\n" not in message
    what = "a run" if is_finished else "an unfinished run"
    assert message == (
        f"{output} holds {what} of raypipe 0.1.0, whose tables this version reads but does not "
        "continue. Choose another output."
    )
    after = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    assert after == before


def test_reaggregate_refuses_an_unfinished_version_1_run_in_one_line(copy: Path) -> None:
    result = CliRunner().invoke(app, ["reaggregate", str(unfinished(copy))])
    assert result.exit_code != 0
    assert str(result.exception).count("\n") == 0
    assert "is not finished" in str(result.exception)


def test_the_command_line_refuses_to_continue_a_version_1_run(
    copy: Path, tmp_path: Path, fake_engine: None
) -> None:
    path = tmp_path / "run.yaml"
    document: dict[str, Any] = {
        "input": {"shards": str(SHARDS)},
        "output": str(unfinished(copy)),
        "model": {"engine": "fake", "path": "none"},
    }
    path.write_text(yaml.safe_dump(document))
    result = CliRunner().invoke(app, ["run", str(path)])
    assert isinstance(result.exception, FingerprintError)
