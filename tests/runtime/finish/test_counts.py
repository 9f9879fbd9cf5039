"""Counts are taken from what is written, and must add up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from in_process import InProcess, utterance

from raypipe.errors import AccountingError
from raypipe.runtime.finish.counts import check_counts, counts_of
from raypipe.store.run_record import RunCounts, StrategyCounts


def counts(given: int, predicted: int, errors: int, **strategies: tuple[int, int]) -> RunCounts:
    return RunCounts(
        input=given,
        predicted=predicted,
        errors=errors,
        strategies={
            name: StrategyCounts(valid=valid, invalid=invalid)
            for name, (valid, invalid) in strategies.items()
        },
    )


def failing(*ids: str) -> dict[str, Any]:
    options = {"fail": ["greedy"], "fail_ids": list(ids)}
    return {"engine": "fake", "path": "none", "name": "fake", "options": options}


@pytest.mark.parametrize(
    "good",
    [
        counts(0, 0, 0),
        counts(5, 5, 0, greedy=(5, 0), bon=(0, 5)),
        counts(5, 3, 2, greedy=(2, 1)),
        counts(5, 0, 5, greedy=(0, 0)),
    ],
)
def test_counts_that_add_up_pass(good: RunCounts) -> None:
    check_counts(good)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            counts(5, 3, 1, greedy=(3, 0)),
            "5 utterances went in, but 3 are predicted and 1 are errors",
        ),
        (
            counts(5, 5, 1, greedy=(5, 0)),
            "5 utterances went in, but 5 are predicted and 1 are errors",
        ),
        (
            counts(5, 4, 1, greedy=(4, 0), bon=(2, 1)),
            "strategy bon has 2 valid and 1 invalid rows for 4 predicted utterances",
        ),
        (
            counts(5, 4, 1, greedy=(4, 1)),
            "strategy greedy has 4 valid and 1 invalid rows for 4 predicted utterances",
        ),
    ],
)
def test_counts_that_do_not_add_up_are_named(wrong: RunCounts, message: str) -> None:
    with pytest.raises(AccountingError, match=message):
        check_counts(wrong)


def test_two_wrongs_in_the_cells_do_not_make_a_right() -> None:
    """One model answered an utterance twice and the other lost one: together they add up."""
    whole = counts(6, 6, 0, greedy=(6, 0))
    cells = (counts(3, 4, 0, greedy=(4, 0)), counts(3, 2, 0, greedy=(2, 0)))
    check_counts(whole)
    with pytest.raises(AccountingError, match="3 utterances went in, but 4 are predicted"):
        check_counts(whole.model_copy(update={"cells": cells}))


def counted(in_process: Any, plan: Any, strategies: Sequence[str], **changes: Any) -> RunCounts:
    return counts_of(in_process.tallies(plan, **changes), 6, strategies)


def test_one_model_and_prompt_is_counted_without_cells(in_process: Any) -> None:
    plan = in_process.finished(strategies=["greedy", "bon"], model=failing("u1", "u2"))
    found = counted(in_process, plan, ["greedy", "bon"])
    assert found == counts(6, 4, 2, greedy=(4, 0), bon=(4, 0))


def test_several_prompts_are_counted_one_by_one_and_together(in_process: Any) -> None:
    prompts = [{"name": "a"}, {"name": "b"}]
    plan = in_process.finished(
        strategies=["greedy"], prompts=prompts, ensembles=[{"name": "both"}], model=failing("u1")
    )
    found = counted(in_process, plan, ["greedy"])
    assert (found.input, found.predicted, found.errors) == (18, 15, 3)
    assert found.utterances == 6
    assert [(cell.model, cell.prompt, cell.predicted) for cell in found.cells] == [
        ("fake", "a", 5),
        ("fake", "b", 5),
        ("fake", "both", 5),
    ]
    assert found.strategies == {"greedy": StrategyCounts(valid=15, invalid=0)}


def test_rows_of_another_run_do_not_count(in_process: Any) -> None:
    plan = in_process.finished(strategies=["greedy"], model=failing("u1"))
    found = counted(in_process, plan, ["greedy"], run="another")
    assert (found.predicted, found.errors) == (0, 0)
    with pytest.raises(AccountingError):
        check_counts(found)


def test_a_lost_row_is_noticed(in_process: Any) -> None:
    plan = in_process.finished(strategies=["greedy"])
    table = next((Path(in_process.tables.uri) / "predictions").rglob("*.parquet"))
    rows = pq.ParquetFile(table).read()
    pq.write_table(rows.slice(1), table)
    with pytest.raises(AccountingError, match="6 utterances went in, but 5 are predicted"):
        check_counts(counted(in_process, plan, ["greedy"]))


def test_an_utterance_in_two_shards_counts_once(fake_engine: None, tmp_path: Path) -> None:
    runs = InProcess(tmp_path)
    runs.write(*(utterance(f"u{number}") for number in range(6)), rows_per_shard=3)
    plan = runs.finished(strategies=["greedy"])
    first, second = sorted((Path(runs.tables.uri) / "predictions").rglob("*.parquet"))
    second.write_bytes(first.read_bytes())
    with pytest.raises(AccountingError, match="6 utterances went in, but 3 are predicted"):
        check_counts(counted(runs, plan, ["greedy"]))


def test_a_strategy_without_any_row_is_noticed(in_process: Any) -> None:
    plan = in_process.finished(strategies=["greedy"])
    with pytest.raises(AccountingError, match="strategy bon has 0 valid and 0 invalid rows for 6"):
        check_counts(counted(in_process, plan, ["greedy", "bon"]))
