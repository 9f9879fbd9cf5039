"""Shards that are answered together come out as if each had been answered alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from counted_rows import answer_lengths, steps_in_calls, steps_of
from in_process import InProcess, utterance

from raypipe.records import Failure
from raypipe.runtime.infer.models import make_engine, make_frontend
from raypipe.runtime.infer.plan import ModelRun
from raypipe.runtime.infer.preparing import PreparedRows, PreparedShard, prepare_shard
from raypipe.runtime.infer.shard_work import answer_shard, verify_shard
from raypipe.runtime.infer.spans import (
    PreparedSpan,
    Span,
    answer_span,
    shards_per_call,
    spans_of,
    verify_span,
)

SHARDS = 7


@pytest.fixture
def many(fake_engine: None, tmp_path: Path) -> InProcess:
    runs = InProcess(tmp_path)
    runs.write(*(utterance(f"u{number}") for number in range(SHARDS * 2)), rows_per_shard=2)
    return runs


def model_run(many: InProcess, **changes: Any) -> ModelRun:
    return many.plan(**changes).model_runs[0]


def names(spans: Sequence[Span]) -> list[list[str]]:
    return [[task.entry.name[6:12].lstrip("0") or "0" for task in span.tasks] for span in spans]


def name(number: int) -> str:
    return f"shard-{number:06d}.parquet"


def test_calls_are_about_consecutive_shards(many: InProcess) -> None:
    whole = model_run(many, resources={"shards_per_call": 3})
    spans = spans_of(whole)
    assert names(spans) == [["0", "1", "2"], ["3", "4", "5"], ["6"]]
    assert all(len(span.missing) == len(span.tasks) for span in spans)
    assert [span.name for span in spans] == [name(0), name(3), name(6)]


def test_a_call_is_asked_again_whole_for_what_is_missing(many: InProcess) -> None:
    whole = model_run(many, resources={"shards_per_call": 3})
    left = replace(whole, done=frozenset(name(number) for number in (0, 1, 4, 3, 5)))
    spans = spans_of(left)
    assert names(spans) == [["0", "1", "2"], ["6"]]
    assert [span.missing for span in spans] == [{name(2)}, {name(6)}]


def test_what_needs_no_model_goes_by_itself(many: InProcess) -> None:
    whole = model_run(many, resources={"shards_per_call": 3})
    tasks = [
        replace(task, generated=number in (1, 3, 4, 5)) for number, task in enumerate(whole.tasks)
    ]
    spans = spans_of(replace(whole, tasks=tuple(tasks), done=frozenset({name(6)})))
    assert [span.is_generated for span in spans] == [True, False, True, True, True]
    assert names(spans) == [["1"], ["0", "1", "2"], ["3"], ["4"], ["5"]]
    assert spans[1].missing == {name(0), name(2)}


class TestAuto:
    """``resources.shards_per_call: auto``, with a corpus that is made up."""

    @staticmethod
    def chosen(
        many: InProcess,
        shards: int = 5_000,
        rows: int = 200,
        seconds: float | None = 4.0,
        **changes: Any,
    ) -> int:
        changes = {"resources": {"batch_size": 64}, "strategies": ["token"]} | changes
        run = model_run(many, **changes)
        task = run.tasks[0]
        duration_s = None if seconds is None else seconds * rows
        entry = task.entry.model_copy(update={"rows": rows, "duration_s": duration_s})
        task = replace(task, entry=entry, take=rows)
        return shards_per_call(replace(run, tasks=(task,) * shards))

    def test_a_call_fills_every_row_40_times(self, many: InProcess) -> None:
        assert self.chosen(many) == 13
        assert self.chosen(many, resources={"batch_size": 32}) == 7
        assert self.chosen(many, rows=5_000) == 1
        assert self.chosen(many, seconds=None) == 13

    def test_a_run_is_32_calls_at_least(self, many: InProcess) -> None:
        assert [self.chosen(many, shards=shards) for shards in (3, 63, 64, 200)] == [1, 1, 2, 6]

    def test_a_call_holds_four_hours_at_most(self, many: InProcess) -> None:
        assert self.chosen(many, resources={"batch_size": 128}) == 18
        assert self.chosen(many, seconds=30.0) == 2
        assert self.chosen(many, seconds=60.0, rows=400) == 1

    def test_of_so_large_a_call_3_percent_of_the_steps_are_lost_at_most(
        self, many: InProcess
    ) -> None:
        size = 200 * self.chosen(many)
        lengths = answer_lengths(4 * size)
        endless = steps_of(lengths, 64)
        assert endless < steps_in_calls(lengths, 64, size) <= 1.03 * endless
        assert steps_in_calls(lengths, 64, 200) > 1.2 * endless

    def test_prompts_count_as_they_are_asked_together(self, many: InProcess) -> None:
        prompts = [{"name": one, "template": "distribution"} for one in ("a", "b")]
        assert self.chosen(many, prompts=prompts) == 7

    def test_several_questions_in_turn_are_asked_by_shard(self, many: InProcess) -> None:
        assert self.chosen(many, strategies=["greedy", "cot"]) == 1
        assert self.chosen(many, strategies=["alm_v"]) == 1

    def test_what_the_config_says_holds(self, many: InProcess) -> None:
        assert self.chosen(many, shards=3, resources={"shards_per_call": 2}) == 2


def prepared(run: ModelRun, **changes: Any) -> tuple[PreparedSpan, Any, Any]:
    frontend = make_frontend(run.config.model)
    engine = make_engine(run.config, run.context.emotion_tokens, [])
    judge = frontend if run.context.verification is not None else None
    shards = [prepare_shard(task, run.context, frontend, judge) for task in run.tasks[:3]]
    span = Span(run.tasks[:3], frozenset(task.entry.name for task in run.tasks[:2]))
    return PreparedSpan(span, tuple(shards)), frontend, engine


def test_shards_answered_together_are_as_answered_alone(many: InProcess) -> None:
    run = model_run(many, strategies=["greedy", "cot", "w_bon"])
    span, _, engine = prepared(run)
    together = answer_span(span, run.context, engine)
    alone = [answer_shard(shard, run.context, engine) for shard in span.shards]
    assert [shard.task for shard in together.shards] == [shard.task for shard in alone]
    for one, other in zip(together.shards, alone, strict=True):
        assert repr(one.rows.answers) == repr(other.rows.answers)
        assert one.rows.prepared == other.rows.prepared
        assert [(each.question, each.asked) for each in one.rows.timings] == [
            (each.question, each.asked) for each in other.rows.timings
        ]
    assert [shard.task.entry.name for shard in together.missing] == [name(0), name(1)]
    about = [asked for _, asked in engine._engine.asked[:2]]
    assert about == [("u0", "u1", "u2", "u3", "u4", "u5")] * 2


def test_a_shard_that_cannot_be_read_leaves_the_others_theirs(many: InProcess) -> None:
    run = model_run(many)
    span, _, engine = prepared(run)
    failure = Failure(None, "read", "ShardError", "it is gone")
    first, second, third = span.shards
    broken = PreparedShard(second.task, PreparedRows(), failure)
    answered = answer_span(replace(span, shards=(first, broken, third)), run.context, engine)
    assert [shard.shard_failure for shard in answered.shards] == [None, failure, None]
    assert [len(shard.rows.answers) for shard in answered.shards] == [2, 0, 2]
    ids = [answer.utterance_id for shard in answered.shards for (answer,) in shard.rows.answers]
    assert ids == ["u0", "u1", "u4", "u5"]
    assert [[each.asked for each in shard.rows.timings] for shard in answered.shards] == [
        [2],
        [0],
        [2],
    ]


def test_another_model_verifies_them_together(many: InProcess) -> None:
    judge = {"engine": "fake", "path": "other", "name": "judge"}
    run = model_run(many, strategies=["alm_v"], verifier={"model": judge})
    span, frontend, engine = prepared(run)
    answered = answer_span(span, run.context, engine)
    together = verify_span(answered, run.context, (frontend, engine))
    for shard, before in zip(together.shards, answered.shards, strict=True):
        alone = verify_shard(before, run.context, (frontend, engine))
        assert repr(shard.rows.answers) == repr(alone.rows.answers)
        assert [timing.question for timing in shard.rows.timings][-1] == "verify"
        assert shard.rows.prepared.windows == ()
    scored = [timing.asked for shard in together.shards for timing in shard.rows.timings]
    assert sum(scored) == sum(
        timing.asked
        for before in answered.shards
        for timing in verify_shard(before, run.context, (frontend, engine)).rows.timings
    )
