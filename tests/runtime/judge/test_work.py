"""A part's pairs are asked both ways and written, each once; a broken judge writes nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from in_process import InProcess, utterance
from judge_runs import Judge, judge_plan
from judge_server import always_a, longer, reasons_in

from raypipe.errors import StoppedError
from raypipe.runtime.judge.work import judge_part
from raypipe.store.query import query


def test_every_pair_is_asked_both_ways_without_names(empty: InProcess) -> None:
    plan = judge_plan(empty)
    judge = Judge(longer)
    summary = judge_part(plan.parts[0], plan.context, judge.model)
    assert (summary.pairs, summary.errors, summary.stopped) == (11, 0, None)
    assert len(judge.requests) == 22
    rows = query(plan.tables, "SELECT * FROM judgements").to_pylist()
    asked = [reasons_in(request.prompt) for request in judge.requests]
    for row, once, again in zip(rows, asked[::2], asked[1::2], strict=True):
        both = (row["first_reason"], row["second_reason"])
        assert once == (both if row["first_is_a"] else both[::-1])
        assert again == once[::-1]
        lengths = len(row["first_reason"]), len(row["second_reason"])
        assert row["win"] == (0.5 if lengths[0] == lengths[1] else float(lengths[0] > lengths[1]))
        assert row["consistent"]
        assert (row["first"], row["second"], row["model"]) == ("tuned", "plain", "fake")
    assert {row["first_is_a"] for row in rows} == {True, False}
    for request in judge.requests:
        assert request.samples is None
        assert "tuned" not in request.prompt
        assert "plain" not in request.prompt


def test_a_judge_that_hears_gets_the_clip_and_the_words(empty: InProcess) -> None:
    rows = [utterance(f"u{number}", 0.05 + number / 100) for number in range(12)]
    rows[3] = utterance("u3", 9.0)  # longer than the judge hears
    rows[4] = replace(rows[4], audio=b"no audio")
    empty.write(*rows, rows_per_shard=5)
    plan = judge_plan(empty, shards=str(empty.shards), audio=True)
    judge = Judge(always_a)
    summary = judge_part(plan.parts[0], plan.context, judge.model)
    assert summary.errors == 2
    for request in judge.requests:
        number = int(request.utterance_id.removeprefix("u"))
        assert isinstance(request.samples, np.ndarray)
        assert len(request.samples) == round((0.05 + number / 100) * 16_000)
        assert "What is said: Well." in request.prompt
        assert "which you hear" in request.prompt
    errors = query(plan.tables, "SELECT * FROM errors ORDER BY utterance_id").to_pylist()
    assert [(row["utterance_id"], row["stage"], row["refusal"]) for row in errors] == [
        ("u3", "decode", True),
        ("u4", "decode", True),
    ]
    rows = query(plan.tables, "SELECT * FROM judgements").to_pylist()
    assert {row["transcript"] for row in rows} == {"Well."}
    assert {row["win"] for row in rows} == {0.5}


def test_what_cannot_be_read_is_kept_as_it_was_written(empty: InProcess) -> None:
    plan = judge_plan(empty)

    def unsure(prompt: str, reason_a: str, reason_b: str) -> str:
        return "A" if reason_a.startswith("first") else "Both have a point."

    judge_part(plan.parts[0], plan.context, Judge(unsure).model)
    for row in query(plan.tables, "SELECT * FROM judgements").to_pylist():
        assert (row["first_as_a"], row["second_as_a"]) == ("A", None)
        assert row["second_as_a_text"] == "Both have a point."
        assert row["win"] is row["consistent"] is None


def test_a_part_whose_questions_fail_is_not_written(empty: InProcess) -> None:
    plan = judge_plan(empty)
    down = Judge(always_a, lambda prompt: True)
    summary = judge_part(plan.parts[0], plan.context, down.model)
    assert summary.stopped == "11 of 11 pairs: no answer"
    assert not summary.resumable
    assert not plan.tables.child("judgements").list()
    assert judge_plan(empty).pending


def test_at_the_end_of_a_budget_nothing_of_the_part_is_written(empty: InProcess) -> None:
    def stop(prompt: str, reason_a: str, reason_b: str) -> str:
        raise StoppedError("the budget is used up")

    plan = judge_plan(empty)
    with pytest.raises(StoppedError):
        judge_part(plan.parts[0], plan.context, Judge(stop).model)
    assert not plan.tables.child("judgements").list()
