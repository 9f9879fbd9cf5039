"""One shard from its rows to its objects, step by step."""

from __future__ import annotations

import dataclasses
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from in_process import LABELS, InProcess, utterance

from raypipe.errors import FingerprintError, LostEngineError, ObjectMissingError, ShardError
from raypipe.records import Failure
from raypipe.runtime.finish import aggregation
from raypipe.runtime.infer.context import RunContext, ShardTask
from raypipe.runtime.infer.models import make_engine, make_frontend
from raypipe.runtime.infer.preparing import PreparedRows, PreparedShard, prepare_shard
from raypipe.runtime.infer.shard_work import (
    AnsweredRows,
    AnsweredShard,
    ShardSummary,
    StoppedShard,
    answer_rows,
    answer_shard,
    commit_shard,
    recommit_shard,
    verify_shard,
)
from raypipe.runtime.infer.stages import _SUMMARY, summary_of
from raypipe.shards import encoded_shard
from raypipe.store.location import Location
from raypipe.store.query import query

TWO_PROMPTS: dict[str, Any] = {
    "strategies": ["greedy", "token", "w_bon", "bon"],
    "prompts": [{"name": "a"}, {"template": "ambiguous"}],
    "ensembles": [{"name": "both"}],
}


def parts(runs: InProcess, **changes: Any) -> tuple[ShardTask, RunContext, Any, Any]:
    """The first shard's task, the context and both halves of the engine."""
    (model_run,) = runs.plan(**changes).model_runs
    config, context = model_run.config, model_run.context
    frontend = make_frontend(config.model)
    engine = make_engine(config, context.emotion_tokens, [])
    return model_run.tasks[0], context, frontend, engine


def failing(*questions: str, ids: tuple[str, ...] = ()) -> dict[str, Any]:
    options = {"fail": list(questions), "fail_ids": list(ids)}
    return {"engine": "fake", "path": "none", "name": "fake", "options": options}


def test_predictions_are_the_last_objects_of_a_shard(
    in_process: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all of them exist the shard counts as done, so nothing may come after them."""
    written: list[str] = []
    write_new = Location.write_new

    def noted(self: Location, name: str, data: bytes, fingerprint: str) -> bool:
        written.append(name.split("/")[0])
        return write_new(self, name, data, fingerprint)

    monkeypatch.setattr(Location, "write_new", noted)
    in_process.answered(**TWO_PROMPTS, model=failing("greedy", ids=("u2",)))
    assert written == ["generations"] * 2 + ["errors"] * 3 + ["predictions"] * 3


def test_every_prompt_and_ensemble_has_its_objects(in_process: Any) -> None:
    in_process.answered(**TWO_PROMPTS)
    prompts = ("a", "ambiguous", "both")
    assert {*in_process.objects()} == {
        f"{table}/model=fake/prompt={prompt}/shard-000000.parquet"
        for table in ("generations", "predictions")
        for prompt in prompts
        if (table, prompt) != ("generations", "both")
    }


def test_a_shard_without_errors_has_no_object_of_them_but_the_table_is_there(
    in_process: Any,
) -> None:
    in_process.answered(strategies=["greedy"])
    assert not [name for name in in_process.objects() if name.startswith("errors/")]
    assert in_process.rows("SELECT count(*) AS n, sum(utterances) AS m FROM errors") == [
        {"n": 0, "m": None}
    ]


def test_two_attempts_give_the_same_bytes(in_process: Any, tmp_path: Path) -> None:
    in_process.answered(**TWO_PROMPTS)
    first = in_process.objects()
    other = InProcess(tmp_path / "other", shards=in_process.shards)
    other.answered(**TWO_PROMPTS)
    assert other.objects() == first


@pytest.mark.parametrize("lost", ["predictions", "errors"])
def test_a_shard_is_finished_without_a_model_to_the_same_bytes(in_process: Any, lost: str) -> None:
    changes = {**TWO_PROMPTS, "model": failing("greedy", ids=("u2",))}
    in_process.answered(**changes)
    before = in_process.objects()
    for path in (Path(in_process.tables.uri) / "predictions").rglob("*.parquet"):
        path.unlink()
    for path in (Path(in_process.tables.uri) / lost).rglob("*.parquet"):
        path.unlink()
    (model_run,) = in_process.plan(**changes).model_runs
    (task,) = model_run.pending
    assert task.generated
    summary = recommit_shard(task, model_run.context)
    assert summary == ShardSummary("shard-000000.parquet", 6, 1, broken=1)
    assert in_process.objects() == before


def test_a_summary_counts_utterances_that_failed_under_every_prompt(in_process: Any) -> None:
    task, context, frontend, engine = parts(
        in_process, **TWO_PROMPTS, model=failing("greedy", ids=("u1", "u4"))
    )
    shard = answer_shard(prepare_shard(task, context, frontend), context, engine)
    first, second = shard.rows.answers[1]
    assert isinstance(first, Failure)
    assert isinstance(second, Failure)
    answered = shard.rows.answers[0]
    under_one_prompt = tuple(
        (answered[0], row[1]) if row is shard.rows.answers[1] else row for row in shard.rows.answers
    )
    half = replace(shard, rows=replace(shard.rows, answers=under_one_prompt))
    summary = commit_shard(half, context)
    assert (summary.utterances, summary.errors, summary.broken) == (6, 1, 2)
    rows = in_process.rows("SELECT prompt, sum(utterances)::INT AS n FROM errors GROUP BY 1")
    assert {row["prompt"]: row["n"] for row in rows} == {"a": 1, "ambiguous": 2, "both": 1}


def test_a_shard_that_cannot_be_read_is_one_error_for_all_its_rows(in_process: Any) -> None:
    task, context, frontend, engine = parts(in_process, **TWO_PROMPTS)
    (in_process.shards / task.entry.name).write_bytes(b"damaged")
    shard = answer_shard(prepare_shard(task, context, frontend), context, engine)
    assert shard.rows.answers == ()
    assert commit_shard(shard, context) == ShardSummary("shard-000000.parquet", 6, 6)
    errors = in_process.rows(
        "SELECT prompt, stage, error_type, utterance_id, row, utterances FROM errors ORDER BY 1"
    )
    assert errors == [
        {
            "prompt": prompt,
            "stage": "read",
            "error_type": "ShardError",
            "utterance_id": None,
            "row": None,
            "utterances": 6,
        }
        for prompt in ("a", "ambiguous", "both")
    ]
    assert in_process.rows("SELECT count(*) AS n FROM predictions") == [{"n": 0}]


def test_why_a_whole_shard_failed_outlives_its_errors_table(in_process: Any) -> None:
    task, context, frontend, engine = parts(in_process)
    (in_process.shards / task.entry.name).write_bytes(b"damaged")
    commit_shard(answer_shard(prepare_shard(task, context, frontend), context, engine), context)
    before = in_process.objects()
    for table in ("errors", "predictions"):
        for path in (Path(in_process.tables.uri) / table).rglob("*.parquet"):
            path.unlink()
    assert recommit_shard(task, context) == ShardSummary("shard-000000.parquet", 6, 6)
    assert in_process.objects() == before


def test_objects_carry_the_fingerprint_that_decides_over_them(in_process: Any) -> None:
    context, _ = in_process.answered(strategies=["greedy"], model=failing("greedy", ids=("u2",)))
    expected = {
        "generations": context.generation_fingerprint,
        "errors": context.prediction_fingerprint,
        "predictions": context.prediction_fingerprint,
    }
    assert context.generation_fingerprint != context.prediction_fingerprint
    for name, data in in_process.objects().items():
        metadata = pq.read_metadata(io.BytesIO(data)).metadata
        assert metadata[b"raypipe.fingerprint"].decode() == expected[name.split("/")[0]]


def test_another_run_s_object_is_never_replaced(in_process: Any) -> None:
    context, _ = in_process.answered(strategies=["greedy"])
    before = in_process.objects()
    task, _, frontend, engine = parts(in_process, strategies=["greedy"])
    foreign = replace(context, generation_fingerprint="0" * 64)
    shard = answer_shard(prepare_shard(task, context, frontend), context, engine)
    with pytest.raises(FingerprintError, match="holds results of another run"):
        commit_shard(shard, foreign)
    assert in_process.objects() == before


def test_damaged_generations_are_not_read_as_answers(in_process: Any) -> None:
    changes = {"strategies": ["greedy"]}
    context, _ = in_process.answered(**changes)
    task = replace(parts(in_process, **changes)[0], generated=True)
    path = next((Path(in_process.tables.uri) / "generations").rglob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ShardError, match="not a whole Parquet file"):
        recommit_shard(task, context)


def test_times_travel_with_the_summary_in_the_order_of_the_questions(in_process: Any) -> None:
    task, context, frontend, engine = parts(in_process, strategies=["greedy", "cot", "alm_v"])
    prepared = prepare_shard(task, context, frontend)
    summary = commit_shard(answer_shard(prepared, context, engine, (frontend, engine)), context)
    timings = summary.timings
    assert [timing.question for timing in timings] == ["greedy and beams", "cot", "verify"]
    assert [timing.asked for timing in timings[:2]] == [6, 6]
    assert all(timing.seconds >= 0 for timing in timings)
    (summed,) = pa.Table.from_pylist([dataclasses.asdict(summary)], _SUMMARY).to_pylist()
    assert summary_of(summed) == summary


def test_clips_are_kept_while_they_are_asked_about(in_process: Any) -> None:
    task, context, frontend, engine = parts(in_process, strategies=["greedy", "cot", "alm_v"])
    events: list[str] = []

    class Cache:
        def __enter__(self) -> None:
            events.append("kept")

        def __exit__(self, *_: object) -> None:
            events.append("dropped")

    class Watched:
        def audio_cache(self) -> Cache:
            return Cache()

        def generate(self, *arguments: Any) -> Any:
            events.append("asked")
            return engine.generate(*arguments)

    watched = Watched()
    prepared = prepare_shard(task, context, frontend)
    answer_rows(prepared.rows, context, watched, (frontend, watched))
    assert events == ["kept", "asked", "asked", "asked", "dropped"]


def test_another_model_verifies_what_the_first_one_answered(in_process: Any) -> None:
    changes = {
        "strategies": ["alm_v"],
        "verifier": {"model": {"engine": "fake", "path": "other", "name": "judge"}},
    }
    task, context, frontend, engine = parts(in_process, **changes)
    shard = answer_shard(prepare_shard(task, context, frontend, frontend), context, engine)
    beams = [
        beam
        for row in shard.rows.answers
        for answer in row
        if not isinstance(answer, Failure)
        for beam in answer.hypotheses
        if beam.kind == "beam"
    ]
    assert all(beam.verifier_score is None for beam in beams)
    assert shard.rows.prepared.windows
    verified = verify_shard(shard, context, (frontend, engine))
    assert verified.task is task
    assert verified.rows.prepared.windows == ()
    scores = [
        beam.verifier_score
        for row in verified.rows.answers
        for answer in row
        if not isinstance(answer, Failure)
        for beam in answer.hypotheses
        if beam.kind == "beam"
    ]
    assert scores == [0.75] * len(beams)
    assert [timing.question for timing in verified.rows.timings][-1] == "verify"


@pytest.mark.parametrize("strategy", ["w_bon", "alm_v"])
def test_clips_do_not_travel_on_where_nobody_hears_them_any_more(
    in_process: Any, strategy: str
) -> None:
    task, context, frontend, engine = parts(in_process, strategies=[strategy])
    prepared = prepare_shard(task, context, frontend)
    assert prepared.rows.windows
    verifier = (frontend, engine) if strategy == "alm_v" else None
    shard = answer_shard(prepared, context, engine, verifier)
    assert shard.rows.prepared == replace(prepared.rows, windows=())
    assert commit_shard(shard, context).errors == 0


def test_nothing_is_asked_about_a_shard_without_rows(in_process: Any) -> None:
    task, context, _, engine = parts(in_process)
    shard = answer_shard(PreparedShard(task, PreparedRows()), context, engine)
    assert shard == AnsweredShard(task, AnsweredRows(PreparedRows(), ()))
    assert engine._engine.asked == []


@pytest.mark.usefixtures("fake_engine")
def test_an_empty_shard_has_empty_tables(tmp_path: Path) -> None:
    runs = InProcess(tmp_path)
    runs.shards.mkdir()
    (runs.shards / "a.parquet").write_bytes(encoded_shard([], LABELS, {}))
    (runs.shards / "b.parquet").write_bytes(encoded_shard([utterance("u0")], LABELS, {}))
    plan = runs.finished(strategies=["greedy"])
    assert [task.take for task in plan.model_runs[0].tasks] == [0, 1]
    assert runs.rows("SELECT count(*) AS n FROM predictions") == [{"n": 1}]
    assert len(runs.objects()) == 4


def test_an_answer_that_no_table_takes_costs_only_itself(in_process: Any) -> None:
    task, context, frontend, engine = parts(in_process, model=failing())
    shard = answer_shard(prepare_shard(task, context, frontend), context, engine)
    rows = list(shard.rows.answers)
    bad = rows[2][0]
    assert not isinstance(bad, Failure)
    torn = replace(bad.hypotheses[0], text="\ud83d")
    rows[2] = (replace(bad, hypotheses=(torn, *bad.hypotheses[1:])),)
    broken = replace(shard, rows=replace(shard.rows, answers=tuple(rows)))
    summary = commit_shard(broken, context)
    assert (summary.utterances, summary.errors, summary.broken) == (6, 1, 1)
    told = "SELECT utterance_id, stage, error_type FROM errors"
    assert query(in_process.tables, told).to_pylist() == [
        {"utterance_id": "u2", "stage": "aggregate", "error_type": "UnicodeEncodeError"}
    ]


def test_an_answer_that_cannot_be_predicted_from_costs_only_itself(
    in_process: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = aggregation.predict_variants, iter(range(99))

    def breaks(*args: Any) -> Any:
        if next(calls) == 3:
            raise ZeroDivisionError("division by zero")
        return real(*args)

    monkeypatch.setattr(aggregation, "predict_variants", breaks)
    in_process.answered(model=failing())
    told = "SELECT utterance_id, error_type, refusal FROM errors"
    assert query(in_process.tables, told).to_pylist() == [
        {"utterance_id": "u3", "error_type": "ZeroDivisionError", "refusal": False}
    ]


@pytest.mark.parametrize(
    ("error", "name", "message"),
    [
        (ObjectMissingError("s3://b/x is not there"), "StoreError", "s3://b/x is not there"),
        (LostEngineError("it ended"), "EngineError", "it ended"),
        (ValueError("one\n  two"), "ClusterError", "unexpected ValueError: one two"),
    ],
)
def test_a_shard_that_a_stage_gave_up_says_why_in_one_line(
    in_process: Any, error: Exception, name: str, message: str
) -> None:
    task = in_process.plan().model_runs[0].pending[0]
    given_up = StoppedShard.by(error, task, 3)
    summary = ShardSummary(
        task.entry.name, 0, 0, given_up.reason, given_up.answered, error=given_up.error
    )
    assert type(summary.raised).__name__ == name
    assert str(summary.raised) == f"shard {task.entry.name}: {message}"
