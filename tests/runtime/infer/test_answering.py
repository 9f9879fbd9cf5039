"""What is asked of whom, and what is kept of it, with a fake engine and without Ray."""

from __future__ import annotations

from typing import Any

import pytest

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
