"""What is asked of whom, and what is kept of it, with a fake engine and without Ray."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from raypipe.questions import Pass
from raypipe.records import AskedQuestion, Failure, Generation, Hypothesis, Search
from raypipe.runtime.infer.answering import Answered, ShardAnswers, WindowInputs

ALL = ["greedy", "cot", "token", "token_softmax", "bon", "w_bon", "alm_v", "w_alm_v"]


def asked(in_process: Any) -> list[tuple[str, str, bool]]:
    rows = in_process.rows(
        "SELECT DISTINCT q.question, q.beam_count, q.error_type IS NULL AS answered"
        " FROM (SELECT unnest(questions) AS q FROM generations) ORDER BY ALL"
    )
    return [(row["question"], row["beam_count"], row["answered"]) for row in rows]


def test_every_question_of_every_strategy_is_a_row(in_process: Any) -> None:
    in_process.answered(strategies=ALL, decoding={"beam_count": 3, "other_beam_counts": [2]})
    assert asked(in_process) == [
        ("beams", 2, True),
        ("beams", 3, True),
        ("cot", None, True),
        ("greedy", None, True),
    ]
    kinds = in_process.rows(
        "SELECT h.kind, count(*) AS n FROM (SELECT unnest(hypotheses) AS h FROM generations)"
        " GROUP BY 1 ORDER BY 1"
    )
    assert [(row["kind"], row["n"]) for row in kinds] == [
        ("beam", 6 * 5),
        ("cot", 6),
        ("greedy", 6),
    ]
    valid = in_process.rows("SELECT bool_and(valid) AS valid FROM predictions")
    assert valid == [{"valid": True}]


@pytest.mark.parametrize(
    ("fail", "invalid"),
    [
        (["long"], {"cot"}),
        ([], set()),
    ],
)
def test_a_further_question_that_fails_costs_only_its_readers(
    in_process: Any, fail: list[str], invalid: set[str]
) -> None:
    in_process.answered(
        strategies=ALL,
        model={"engine": "fake", "path": "none", "options": {"fail": fail, "fail_ids": ["u1"]}},
    )
    rows = in_process.rows(
        "SELECT strategy, invalid_reason, utterance_id FROM predictions WHERE NOT valid"
    )
    assert {row["strategy"] for row in rows} == invalid
    assert all(row["invalid_reason"] == "failed" for row in rows)
    assert all(row["utterance_id"] == "u1" for row in rows)
    failed = in_process.rows(
        "SELECT q.error_message FROM (SELECT unnest(questions) AS q FROM generations)"
        " WHERE q.error_type IS NOT NULL"
    )
    assert len(failed) == len(fail)
    texts = in_process.rows("SELECT h.text FROM (SELECT unnest(hypotheses) AS h FROM generations)")
    assert not any("told to fail" in row["text"] for row in texts)  # a failure is never a beam


def test_a_first_question_that_fails_is_an_error_row(in_process: Any) -> None:
    in_process.answered(
        model={
            "engine": "fake",
            "path": "none",
            "options": {"fail": ["greedy"], "fail_ids": ["u2"]},
        }
    )
    (error,) = in_process.rows("SELECT utterance_id, error_type, message FROM errors")
    assert (error["utterance_id"], error["error_type"]) == ("u2", "made_up")
    assert in_process.rows("SELECT count(DISTINCT utterance_id) AS n FROM predictions") == [
        {"n": 5}
    ]


def test_what_only_adaptive_needs_is_asked_of_ambiguous_utterances_alone(in_process: Any) -> None:
    _, engine = in_process.answered(strategies=["greedy", "adaptive"], adaptive={"threshold": 2.4})
    (everyone, few) = [ids for _, ids in engine._engine.asked]
    assert set(few) < set(everyone) == {f"u{number}" for number in range(6)}
    rows = in_process.rows(
        "SELECT utterance_id, escalated FROM predictions WHERE strategy = 'adaptive'"
    )
    assert {row["utterance_id"] for row in rows if row["escalated"]} == set(few)


def test_clear_answers_are_asked_nothing_more(in_process: Any) -> None:
    shares = {"anger": 1.0}
    _, engine = in_process.answered(
        strategies=["adaptive"],
        model={"engine": "fake", "path": "none", "options": {"shares": shares}},
    )
    assert len(engine._engine.asked) == 1


GREEDY = Pass("greedy", ("greedy",), Search(0, True, 8))
BEAMS = Pass("2 beams", ("beams",), Search(2, False, 8))
COT = Pass("cot", ("cot",), Search(0, True, 99), kind="cot", cot=True)
RARE = Pass("cot", ("cot",), Search(0, True, 99), kind="cot", cot=True, only_ambiguous=True)


class Scripted:
    """An engine whose inputs are names, with a failure for every one that is told."""

    def __init__(self, *failing: tuple[str, int]) -> None:
        self.failing = failing
        self.calls: list[list[str]] = []

    def generate(self, inputs: Sequence[str], search: Search) -> list[Generation | Failure]:
        self.calls.append([*inputs])
        kinds = ["greedy"] * search.greedy + ["beam"] * search.beam_count
        return [
            odd(name)
            if (name, search.max_new_tokens) in self.failing
            else Generation(
                name,
                tuple(
                    Hypothesis(kind, rank, f"{kind} of {name}", (1,), None, -1.0, "stop", None)
                    for rank, kind in enumerate(kinds)
                ),
                20,
                8,
            )
            for name in inputs
        ]


def odd(name: str) -> Failure:
    return Failure(name, "engine", "odd", f"{name} is odd")


def answers(
    rows: Sequence[Any],
    *passes: Pass,
    failing: Sequence[tuple[str, int]] = (),
    prompts: int = 1,
    is_ambiguous: Callable[[Answered], bool] = lambda _: True,
) -> tuple[list[tuple[Generation | Failure, ...]], Scripted, ShardAnswers]:
    engine, shard = Scripted(*failing), ShardAnswers(rows, prompts)
    for asking in passes:
        shard.ask(asking, engine, is_ambiguous)  # type: ignore[arg-type]
    return list(shard.by_row()), engine, shard


def window(number: int, name: Any, cot: Any = (), seconds: float | None = 4.0) -> WindowInputs:
    return WindowInputs(number, seconds, (name,), cot and (cot,))


def test_windows_are_asked_together_and_kept_apart() -> None:
    rows = [(window(0, "a0"), window(1, "a1", seconds=3.0)), (window(0, "b", seconds=None),)]
    ((first,), (second,)), engine, shard = answers(rows, GREEDY)
    assert engine.calls == [["a0", "a1", "b"]]
    assert isinstance(first, Generation)
    assert [(h.text, h.window, h.window_s, h.prompt_tokens) for h in first.hypotheses] == [
        ("greedy of a0", 0, 4.0, 20),
        ("greedy of a1", 1, 3.0, 20),
    ]
    assert first.questions == (
        AskedQuestion("greedy", 0, 4.0, prompt_tokens=20),
        AskedQuestion("greedy", 1, 3.0, prompt_tokens=20),
    )
    assert isinstance(second, Generation)
    assert [(h.window, h.window_s) for h in second.hypotheses] == [(0, None)]
    assert [(timing.question, timing.asked) for timing in shard.timings] == [("greedy", 3)]


def test_a_clip_is_not_answered_in_part_where_its_first_question_failed_in_a_window() -> None:
    rows = [(window(0, "a0"), window(1, "a1"))]
    ((answer,),), engine, _ = answers(rows, GREEDY, BEAMS, failing=[("a1", 8)])
    assert answer == odd("a1")
    assert len(engine.calls) == 1  # and it is asked nothing more


def test_a_further_question_may_fail_in_one_window_only() -> None:
    rows = [(window(0, "a0", "a0+"), window(1, "a1", "a1+"))]
    ((answer,),), _, _ = answers(rows, GREEDY, COT, failing=[("a1+", 99)])
    assert isinstance(answer, Generation)
    assert [(h.kind, h.window) for h in answer.hypotheses] == [
        ("greedy", 0),
        ("greedy", 1),
        ("cot", 0),
    ]
    (failed,) = [question for question in answer.questions if question.failed]
    assert failed == AskedQuestion("cot", 1, 4.0, error_type="odd", error_message="a1+ is odd")


def test_prompts_fail_by_themselves() -> None:
    rows = [(WindowInputs(0, None, ("a", odd("b"))),), (WindowInputs(0, None, ("c", "d")),)]
    (first, second), engine, _ = answers(rows, GREEDY, prompts=2)
    assert engine.calls == [["a", "c", "d"]]
    assert isinstance(first[0], Generation)
    assert first[1] == odd("b")
    assert all(isinstance(answer, Generation) for answer in second)


def test_a_row_that_failed_before_fails_under_every_prompt_and_is_not_asked() -> None:
    rows = [odd("x"), (WindowInputs(0, None, ("a", "b")),)]
    (first, _), engine, _ = answers(rows, GREEDY, prompts=2)
    assert first == (odd("x"), odd("x"))
    assert engine.calls == [["a", "b"]]


def test_without_a_row_the_engine_is_not_called() -> None:
    _, engine, shard = answers([odd("x")], GREEDY, BEAMS)
    assert engine.calls == shard.timings == []


def test_a_further_prompt_that_cannot_be_made_is_a_question_that_failed() -> None:
    """The greedy answer is there already: it must not be lost for a longer prompt."""
    rows = [(window(0, "a", odd("a+"), None),), (window(0, "b", "b+", None),)]
    ((first,), (second,)), engine, shard = answers(rows, GREEDY, COT)
    assert engine.calls == [["a", "b"], ["b+"]]
    assert isinstance(first, Generation)
    assert [h.kind for h in first.hypotheses] == ["greedy"]
    assert first.questions[1] == AskedQuestion("cot", error_type="odd", error_message="a+ is odd")
    assert isinstance(second, Generation)
    assert [h.kind for h in second.hypotheses] == ["greedy", "cot"]
    assert [(timing.question, timing.asked) for timing in shard.timings] == [
        ("greedy", 2),
        ("cot", 1),
    ]


def test_a_further_prompt_that_nobody_needs_need_not_be_made() -> None:
    rows = [(window(0, "a", odd("a+"), None),)]
    ((answer,),), engine, _ = answers(rows, GREEDY, RARE, is_ambiguous=lambda _: False)
    assert engine.calls == [["a"]]
    assert isinstance(answer, Generation)
    assert not any(question.failed for question in answer.questions)


def test_a_first_prompt_that_cannot_be_made_is_an_error() -> None:
    rows = [(window(0, odd("a"), "a+", None),)]
    ((answer,),), engine, _ = answers(rows, GREEDY, COT)
    assert answer == odd("a")
    assert engine.calls == []


def test_searches_of_two_widths_can_be_told_apart() -> None:
    wide = Pass("beams", ("beams",), Search(3, False, 8))
    ((answer,),), _, _ = answers([(window(0, "a"),)], GREEDY, wide, BEAMS)
    assert isinstance(answer, Generation)
    assert [(h.kind, h.beam_count) for h in answer.hypotheses] == [
        ("greedy", None),
        *[("beam", 3)] * 3,
        *[("beam", 2)] * 2,
    ]
    assert [(q.question, q.beam_count) for q in answer.questions] == [
        ("greedy", None),
        ("beams", 3),
        ("beams", 2),
    ]


def test_the_clip_comes_from_a_prompt_that_has_it() -> None:
    reads, hears = "read", "heard"
    assert WindowInputs(0, None, (reads, hears), clip_from=1).clip == hears
    assert WindowInputs(0, None, (hears,)).clip == hears
