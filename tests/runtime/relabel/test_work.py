"""A part's items are asked and written, each once; a broken model writes nothing."""

from __future__ import annotations

import pytest
from in_process import InProcess
from relabel_items import Model
from relabel_runs import all_afraid, as_model, relabel_plan, typed

from raypipe.errors import StoppedError
from raypipe.records import Failure
from raypipe.runtime.relabel.work import relabel_part
from raypipe.store.query import query


@pytest.fixture
def corpus(empty: InProcess) -> InProcess:
    rows = [typed(f"u{number}", "calm") for number in range(12)]
    empty.write(*rows, typed("u12"), typed("u13", "only typed", soft=False))
    return empty


def test_every_input_is_a_label_or_an_error(corpus: InProcess) -> None:
    plan = relabel_plan(corpus)
    model = all_afraid()
    summary = relabel_part(plan.parts[0], plan.context, as_model(model))
    assert (summary.utterances, summary.errors, summary.asked, summary.left) == (14, 1, 12, 0)
    assert len(model.prompts) == 6
    labels = query(corpus.tables, "SELECT * FROM labels ORDER BY utterance_id").to_pylist()
    assert len(labels) == 13
    assert {row["status"] for row in labels} == {"adjusted", "not_asked"}
    assert {row["model"] for row in labels} == {"fake"}
    assert {row["prompt"] for row in labels} == {"relabel"}
    assert labels[0]["adjusted"] == [0, 0, 0.25, 0, 0.75, 0]
    [error] = query(corpus.tables, "SELECT * FROM errors").to_pylist()
    assert (error["utterance_id"], error["error_type"], error["row"]) == ("u13", "no_reference", 13)
    assert error["refusal"]


def test_a_part_whose_requests_fail_is_not_written(corpus: InProcess) -> None:
    plan = relabel_plan(corpus)
    down = Model(lambda items, _: Failure("request", "engine", "unreachable", "no route to host"))
    summary = relabel_part(plan.parts[0], plan.context, as_model(down))
    assert summary.stopped is not None
    assert "12 of 12 items: the request failed: unreachable: no route to host" in summary.stopped
    assert not summary.resumable
    assert not plan.tables.child("labels").list()
    assert relabel_plan(corpus).pending


def test_answers_that_cannot_be_used_are_left_and_marked(corpus: InProcess) -> None:
    plan = relabel_plan(corpus, attempts=2)
    summary = relabel_part(plan.parts[0], plan.context, as_model(Model(lambda items, _: "sorry")))
    assert (summary.stopped, summary.asked, summary.left, summary.failed) == (None, 12, 12, 0)
    rows = query(corpus.tables, "SELECT * FROM labels WHERE status = 'left'").to_pylist()
    assert len(rows) == 12
    assert all(row["adjusted"] == row["reference"] for row in rows)
    assert all(row["attempts"] == len(row["faults"]) == 2 for row in rows)


def test_at_the_end_of_a_budget_nothing_of_the_part_is_written(corpus: InProcess) -> None:
    def stop(items: object, prompt: str) -> object:
        raise StoppedError("the budget is used up")

    plan = relabel_plan(corpus)
    with pytest.raises(StoppedError):
        relabel_part(plan.parts[0], plan.context, as_model(Model(stop)))
    assert not plan.tables.child("labels").list()


def test_what_cannot_be_prepared_fails_in_its_place(corpus: InProcess) -> None:
    frontend, engine = as_model(all_afraid())
    good = frontend.prepare
    frontend.prepare = lambda requests: [
        Failure(request.utterance_id, "prompt", "too_long", "9 tokens")
        if at == 1
        else good([request])[0]
        for at, request in enumerate(requests)
    ]
    plan = relabel_plan(corpus, attempts=1)
    summary = relabel_part(plan.parts[0], plan.context, (frontend, engine))
    assert (summary.left, summary.failed) == (2, 2)
    rows = query(corpus.tables, "SELECT * FROM labels WHERE status = 'left'").to_pylist()
    assert {row["utterance_id"] for row in rows} == {"u2", "u3"}
    assert rows[0]["faults"] == ["the request failed: too_long: 9 tokens"]
