from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from raypipe.labels import LABEL_SETS
from raypipe.reporting.run.answers import (
    MOST_ROWS,
    answer_groups,
    cut_answers,
    tally_answers,
)

LABELS = LABEL_SETS["crema-d-6"]


def generations(
    texts: Sequence[str], kind: str = "greedy", ending: str = "stop", prompt: str = "p"
) -> pa.Table:
    hypotheses = [[{"kind": kind, "text": text, "finish_reason": ending}] for text in texts]
    count = len(texts)
    return pa.table({"model": ["m"] * count, "prompt": [prompt] * count, "hypotheses": hypotheses})


def test_rules_and_reasons_come_with_examples_and_the_strategies_that_read_them() -> None:
    texts = ["sad", "angry", "happy", "angry or sad", '{"anger": 1, "fear": 1}']
    groups = answer_groups(
        tally_answers([generations(texts)], LABELS), ["greedy", "w_bon[tau=0.5]", "token"]
    )
    assert [(group.outcome, group.valid, group.number) for group in groups] == [
        ("keyword", True, "3 of 5"),
        ("json", True, "1 of 5"),
        ("ambiguous", False, "1 of 5"),
    ]
    assert groups[0].examples == ("sad", "angry")
    assert groups[2].examples == ("angry or sad",)
    assert {group.strategies for group in groups} == {"greedy and token"}


def test_a_refusal_by_the_endpoint_is_a_reason_of_its_own() -> None:
    (group,) = answer_groups(
        tally_answers([generations(["sad"], ending="refusal")], LABELS), ["greedy"]
    )
    assert (group.outcome, group.valid) == ("refusal", False)


def test_a_long_example_keeps_its_end() -> None:
    text = "Reasons. " * 200 + '{"anger": 1, "fear": 3}'
    (group,) = answer_groups(tally_answers([generations([text])], LABELS), ["greedy"])
    assert group.examples[0].startswith("Reasons.")
    assert group.examples[0].endswith('"fear": 3}')
    assert len(group.examples[0]) < 300


def test_only_the_first_rows_of_a_model_and_prompt_are_looked_at() -> None:
    tables = [generations(["sad"] * MOST_ROWS), generations(["angry"] * 3)]
    other = generations(["angry"], prompt="q")
    tallies = tally_answers([*tables, other], LABELS)
    assert tallies["m", "p", "greedy"].answers == MOST_ROWS
    assert tallies["m", "q", "greedy"].answers == 1


def test_a_run_most_of_whose_answers_are_cut_says_so() -> None:
    cut, whole = generations(["sad", "fe"], ending="length"), generations(["angry"])
    (warning,) = cut_answers(tally_answers([cut, whole], LABELS))
    assert "67\N{NO-BREAK SPACE}% of the first 3 greedy answers" in warning
    assert "decoding.max_new_tokens" in warning
    thoughts = generations(["Let me think"], kind="cot", ending="length")
    (warning,) = cut_answers(tally_answers([thoughts], LABELS))
    assert "prompt.cot_max_new_tokens" in warning
    assert cut_answers(tally_answers([cut, whole, whole], LABELS)) == []
