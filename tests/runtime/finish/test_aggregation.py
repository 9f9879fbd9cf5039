"""From a shard's generations/ to its predictions/: readings, ensembles, failures, scores."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from raypipe.labels import LabelSet
from raypipe.records import (
    AskedQuestion,
    EmotionTokens,
    Failure,
    Generation,
    Hypothesis,
    Prediction,
    Utterance,
)
from raypipe.runtime.finish.aggregation import (
    Ensemble,
    Failed,
    PredictionSettings,
    _scores,
    read_answers,
)
from raypipe.store.generations import Answered, generations_table
from raypipe.store.schemas import UTTERANCE_METRICS
from raypipe.strategies import Settings, Variant

LABELS = LabelSet(("anger", "sadness"))
TOKENS = EmotionTokens((), (), ())


def row(
    soft_label: tuple[float, ...] | None, probs: list[float] | None
) -> tuple[Utterance, Prediction]:
    utterance = Utterance("u", "d", None, None, b"", 16_000, 1.0, soft_label=soft_label)
    return utterance, Prediction("greedy", None if probs is None else np.array(probs), None)


def test_every_column_is_there_even_where_nothing_is_scored() -> None:
    for rows in ([], [row(None, [0.5, 0.5])], [row((0.5, 0.5), None)]):
        columns = _scores(rows)
        assert {*columns} == {*UTTERANCE_METRICS}
        assert all(len(values) == len(rows) for values in columns.values())
        assert all(columns[name] == [None] * len(rows) for name in ("js", "bc", "r2_det"))


def test_scores_stand_where_there_are_a_label_and_a_prediction() -> None:
    columns = _scores(
        [
            row((1.0, 0.0), None),
            row((1.0, 0.0), [0.25, 0.75]),
            row(None, [1.0, 0.0]),
            row((0.5, 0.5), [0.5, 0.5]),
        ]
    )
    assert columns["true_entropy"] == [0.0, 0.0, None, 1.0]
    assert columns["bc"] == [None, 0.5, None, 1.0]
    assert columns["bd"] == [None, math.log(2), None, 0.0]
    assert columns["r2"] == [None, 1.0, None, None]  # undefined for a constant row


def says(anger: float, kind: str = "greedy") -> Hypothesis:
    text = json.dumps({"anger": anger, "sadness": 1 - anger})
    return Hypothesis(kind, 0, text, (1,), None, -1.0, "stop", None)


def utterance(name: str, soft_label: tuple[float, ...] | None = (0.5, 0.5)) -> Utterance:
    return Utterance(name, "d", None, "s", b"", 16_000, 1.0, soft_label=soft_label)


def table(prompt: str, *answers: Generation | Failure | float, truth: Any = (0.5, 0.5)) -> pa.Table:
    """What a model said of ``u0``, ``u1``, ...; a number is the share of anger in its answer."""
    rows = []
    for number, answer in enumerate(answers):
        name = f"u{number}"
        if isinstance(answer, float):
            answer = Generation(name, (says(answer),), 10, 5)
        rows.append(Answered(utterance(name, truth), answer))
    return generations_table(
        rows, run="r", model="m", prompt=prompt, labels=LABELS, emotion_tokens=TOKENS
    )


def read(
    tables: dict[str, pa.Table], *strategies: str, **changes: Any
) -> dict[str, tuple[list[dict[str, Any]], list[Failed]]]:
    values: dict[str, Any] = {
        "run": "r",
        "model": "m",
        "labels": LABELS,
        "policy": None,
        "emotion_tokens": TOKENS,
        "variants": tuple(Variant(f"my_{name}", name, Settings()) for name in strategies),
        **changes,
    }
    answers = read_answers(tables, PredictionSettings(**values))
    return {prompt: (made.to_pylist(), failed) for prompt, (made, failed) in answers.items()}


def failed(name: str) -> Failure:
    return Failure(name, "engine", "odd", "it was odd")


def test_a_row_stands_for_an_utterance_and_a_variant() -> None:
    rows, failures = read({"p": table("p", 0.25, 1.0)}, "greedy", "bon")["p"]
    assert [(row["utterance_id"], row["strategy"]) for row in rows] == [
        ("u0", "my_greedy"),
        ("u0", "my_bon"),
        ("u1", "my_greedy"),
        ("u1", "my_bon"),
    ]
    assert [row["probs"] for row in rows] == [[0.25, 0.75], None, [1.0, 0.0], None]
    assert [row["predicted"] for row in rows] == ["sadness", None, "anger", None]
    assert [row["invalid_reason"] for row in rows] == [None, "no_beams"] * 2
    assert {row["prompt"] for row in rows} == {"p"}
    assert failures == []


def test_what_failed_is_listed_with_its_row_and_predicts_nothing() -> None:
    answers = (0.5, failed("u1"), 0.5, failed("u3"))
    rows, failures = read({"p": table("p", *answers)}, "greedy")["p"]
    assert [row["utterance_id"] for row in rows] == ["u0", "u2"]
    assert failures == [(1, failed("u1")), (3, failed("u3"))]


def test_an_ensemble_is_the_mean_over_its_prompts() -> None:
    tables = {"a": table("a", 0.2), "b": table("b", 0.6), "c": table("c", 1.0)}
    ensembles = (Ensemble("two", ("a", "b")), Ensemble("all", ("a", "b", "c")))
    answers = read(tables, "greedy", ensembles=ensembles)
    assert [*answers] == ["a", "b", "c", "two", "all"]
    assert answers["two"][0][0]["probs"] == pytest.approx([0.4, 0.6])
    assert answers["all"][0][0]["probs"] == pytest.approx([0.6, 0.4])
    assert answers["all"][0][0]["prompt"] == "all"


def test_an_ensemble_makes_do_with_the_prompts_that_were_answered() -> None:
    tables = {
        "a": table("a", failed("u0"), failed("u1")),
        "b": table("b", 0.75, failed("u1")),
    }
    answers = read(tables, "greedy", ensembles=(Ensemble("both", ("a", "b")),))
    rows, failures = answers["both"]
    assert [(row["utterance_id"], row["probs"]) for row in rows] == [("u0", [0.75, 0.25])]
    assert failures == [(1, failed("u1"))]
    assert [failure for _, failure in answers["b"][1]] == [failed("u1")]


def test_a_question_that_failed_makes_its_readers_invalid_and_no_error() -> None:
    question = AskedQuestion("cot", error_type="odd", error_message="no answer")
    answer = Generation("u0", (says(0.25),), 10, 5, questions=(question,))
    rows, failures = read({"p": table("p", answer)}, "greedy", "cot")["p"]
    assert [row["valid"] for row in rows] == [True, False]
    assert rows[1]["invalid_reason"] == "failed"
    assert failures == []


@pytest.mark.parametrize("truth", [None, (0.25, 0.75)])
def test_scores_are_null_where_there_is_no_truth(truth: tuple[float, ...] | None) -> None:
    (row,), _ = read({"p": table("p", 0.25, truth=truth)}, "greedy")["p"]
    compared = {name: row[name] for name in UTTERANCE_METRICS}
    if truth is None:
        assert {*compared.values()} == {None}
    else:
        assert compared["true_entropy"] == pytest.approx(2 - 0.75 * math.log2(3))
        assert compared["js"] == pytest.approx(0.0)
        assert compared["bc"] == pytest.approx(1.0)


def test_nothing_read_is_an_empty_table_of_all_columns() -> None:
    tables = {"p": table("p")}
    made = read_answers(
        tables,
        PredictionSettings("r", "m", LABELS, None, TOKENS, (Variant("x", "greedy", Settings()),)),
    )["p"][0]
    assert len(made) == 0
    assert {*UTTERANCE_METRICS} <= {*made.column_names}
