"""What objects hold, counted by themselves and together."""

from __future__ import annotations

from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from in_process import LABELS, InProcess, utterance

from raypipe.runtime.finish.groups import cells_of, read_rows
from raypipe.runtime.finish.tally import CellTally

CELL = ("fake", "distribution")


@pytest.fixture
def runs(fake_engine: None, tmp_path: Path) -> InProcess:
    made = InProcess(tmp_path)
    made.write(*(utterance(f"u{number}") for number in range(9)), rows_per_shard=3)
    return made


def tally(runs: InProcess, plan: Any, *names: str) -> CellTally:
    return CellTally.of_predictions(read_rows(runs.tables, names), plan.context.run, LABELS)


def test_a_tally_is_what_sql_counts(runs: InProcess) -> None:
    plan = runs.finished(strategies=["greedy", "cot"])
    found = tally(runs, plan, *cells_of(runs.tables)[CELL]).counted()
    (row,) = runs.rows("SELECT count(DISTINCT utterance_id) AS n FROM predictions")
    assert found.predicted == row["n"] == found.splits["test"]
    for strategy in ("greedy", "cot"):
        (row,) = runs.rows(
            "SELECT count(*) FILTER (valid) AS valid, count(*) FILTER (NOT valid) AS invalid"
            f" FROM predictions WHERE strategy = '{strategy}'"
        )
        assert found.valid.get(strategy, 0) == row["valid"]
        assert found.invalid.get(strategy, 0) == row["invalid"]


def test_objects_by_themselves_are_the_whole(runs: InProcess) -> None:
    plan = runs.finished(strategies=["greedy", "w_bon"])
    names = cells_of(runs.tables)[CELL]
    whole = tally(runs, plan, *names).counted()
    apart = reduce(CellTally.merge, (tally(runs, plan, name) for name in names)).counted()
    assert (apart.predicted, apart.valid, apart.splits) == (9, whole.valid, whole.splits)
    assert apart.digest.tallies.keys() == whole.digest.tallies.keys()
    for approach, sums in whole.digest.tallies.items():
        other = apart.digest.tallies[approach]
        np.testing.assert_array_equal(other.predicted_sum, sums.predicted_sum)
        np.testing.assert_array_equal(other.confusion, sums.confusion)
        np.testing.assert_array_equal(other.confidence_sum, sums.confidence_sum)
        assert (other.rows, other.rules, other.datasets) == (sums.rows, sums.rules, sums.datasets)


def test_rows_of_another_run_are_not_counted(runs: InProcess) -> None:
    runs.finished(strategies=["greedy"])
    rows = read_rows(runs.tables, cells_of(runs.tables)[CELL])
    found = CellTally.of_predictions(rows, "another", LABELS).counted()
    assert (found.predicted, dict(found.valid)) == (0, {})
