"""A shard's utterances are asked about and written; a broken teacher writes nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from in_process import InProcess
from rationale_runs import FAKE, GOOD, InProcessTeacher, rationale_plan

from raypipe.errors import StoppedError
from raypipe.records import Failure, Request
from raypipe.runtime.rationale.plan import RationalePlan
from raypipe.runtime.rationale.work import RationaleSummary, rationale_shard
from raypipe.store.query import query
from raypipe.store.run_record import write_record


def work(plan: RationalePlan, teacher: InProcessTeacher, **more: Any) -> RationaleSummary:
    return rationale_shard(plan.tasks[0], plan.context, teacher.halves, **more)


def test_every_row_is_answered_about_an_error_or_left_out(corpus: InProcess) -> None:
    plan = rationale_plan(corpus)
    assert plan.reasons_left_out == {"split test": 1}
    teacher = InProcessTeacher(lambda request: GOOD)
    summary = work(plan, teacher)
    assert (summary.asked, summary.errors, summary.without, summary.stopped) == (12, 1, 0, None)
    rows = query(corpus.tables, "SELECT * FROM rationales ORDER BY utterance_id").to_pylist()
    assert {row["rationale"] for row in rows} == {GOOD}
    assert {row["model"] for row in rows} == {row["teacher"] for row in rows} == {"fake"}
    [error] = query(corpus.tables, "SELECT * FROM errors").to_pylist()
    assert (error["utterance_id"], error["error_type"], error["row"]) == (
        "u12",
        "no_transcript",
        12,
    )
    assert all(request.samples is not None for request in teacher.asked)
    first = teacher.asked[0].prompt
    assert first.startswith("Given the Content: Well.\nEmotion: Angry\n")
    assert "DO NOT use the word Angry in your reasoning." in first


def test_a_transcript_may_be_optional(corpus: InProcess) -> None:
    plan = rationale_plan(corpus, transcript="optional")
    teacher = InProcessTeacher(lambda request: GOOD)
    assert work(plan, teacher).asked == 13
    assert teacher.asked[-1].prompt.startswith("Emotion: ")


def test_a_refused_draft_is_asked_for_again_with_the_rule_it_broke(corpus: InProcess) -> None:
    def answer(request: Request) -> str:
        return GOOD if "was refused" in request.prompt else f"{GOOD} What do you think?"

    plan, teacher = rationale_plan(corpus), InProcessTeacher(answer)
    assert work(plan, teacher).without == 0
    assert len(teacher.asked) == 24
    again = teacher.asked[12]
    assert "- DO NOT ask the reader anything, and DO NOT invite a reply." in again.prompt
    assert again.samples is teacher.asked[0].samples, "nothing is made of a clip twice"
    rows = query(corpus.tables, "SELECT * FROM rationales").to_pylist()
    assert {(row["tries"], *row["rejections"]) for row in rows} == {(2, "question_to_reader")}


def test_a_label_that_is_guessed_from_the_rationale_alone_is_refused(corpus: InProcess) -> None:
    def answer(request: Request) -> str:
        return f"{GOOD} Very tense." if "paraphrase" not in request.prompt else GOOD

    def guess(request: Request) -> str:
        assert request.samples is None
        assert "Given the Content" not in request.prompt
        return "Angry" if "Very tense" in request.prompt else "Other"

    plan = rationale_plan(corpus, guesser={**FAKE, "name": "guesser"})
    teacher, guesser = InProcessTeacher(answer), InProcessTeacher(guess)
    assert work(plan, teacher, guesser=guesser.halves).without == 0
    rows = query(corpus.tables, "SELECT label, rejections FROM rationales").to_pylist()
    refused = {row["label"] for row in rows if row["rejections"]}
    assert refused == {"anger"}
    assert all(row["rejections"] in ([], ["guessable"]) for row in rows)


def test_a_shard_whose_requests_fail_is_not_written(corpus: InProcess) -> None:
    plan = rationale_plan(corpus)
    down = InProcessTeacher(lambda request: Failure("u", "engine", "unreachable", "no route"))
    summary = work(plan, down)
    assert summary.stopped == "12 of 12 utterances: no route"
    assert not summary.resumable
    assert not plan.tables.child("rationales").list()


def test_clips_that_the_model_cannot_take_do_not_break_it(corpus: InProcess) -> None:
    def answer(request: Request) -> object:
        short = Failure(request.utterance_id, "prompt", "too_short", "0.01 s")
        return GOOD if request.utterance_id == "u3" else short

    summary = work(rationale_plan(corpus), InProcessTeacher(answer))
    assert (summary.stopped, summary.asked, summary.errors) == (None, 1, 12)


def test_what_the_model_failed_is_asked_about_again_unless_the_job_is_finished(
    corpus: InProcess,
) -> None:
    from raypipe.runtime.rationale import job  # imports Ray

    def answer(request: Request) -> object:
        failed = Failure(request.utterance_id, "engine", "timeout", "no answer")
        return failed if request.utterance_id == "u3" else GOOD

    plan = rationale_plan(corpus)
    record = job._record(plan, datetime.now(UTC))
    write_record(plan.tables, record)
    assert work(plan, InProcessTeacher(answer)).errors == 2
    again = rationale_plan(corpus)
    name = plan.tasks[0].entry.name
    assert again.again == {name}
    assert again.pending
    assert work(again, InProcessTeacher(lambda request: GOOD), again=True).errors == 1
    assert not rationale_plan(corpus).pending
    write_record(plan.tables, record.changed(status="finished"))
    assert not rationale_plan(corpus).again


def test_at_the_end_of_a_budget_nothing_of_the_shard_is_written(corpus: InProcess) -> None:
    def stop(request: Request) -> object:
        raise StoppedError("the budget is used up")

    plan = rationale_plan(corpus)
    with pytest.raises(StoppedError):
        work(plan, InProcessTeacher(stop))
    assert not plan.tables.child("rationales").list()


def test_labels_may_be_left_out(corpus: InProcess) -> None:
    plan = rationale_plan(corpus, labels=["anger", "fear"])
    assert work(plan, InProcessTeacher(lambda request: GOOD)).asked == 4
    assert plan.reasons_left_out["label sadness"] == 2


def test_every_try_is_asked_for_in_other_words_with_all_rules_that_were_broken(
    corpus: InProcess,
) -> None:
    """Otherwise a greedy teacher, or one whose answers are kept, would say the same again."""
    drafts = iter([f"{GOOD} What do you think?"] * 12 + ["Loud voice, fast words."] * 24)
    teacher = InProcessTeacher(lambda request: next(drafts))
    assert work(rationale_plan(corpus), teacher).without == 12
    first, second, third = (teacher.asked[at].prompt for at in (0, 12, 24))
    assert len({first, second, third}) == 3
    assert "Your last reasoning was refused:\n- DO NOT ask the reader anything" in second
    assert "Your last 2 reasonings were refused:\n- DO NOT ask the reader anything" in third
    assert "- Write at least 10 words." in third
