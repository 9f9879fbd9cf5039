"""From predictions/ to metrics/, with tasks that run here, one after the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from in_process import REPLICATES, InProcess, utterance

from raypipe.runtime.finish import reduce as module


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts take a second each time, and only some tests are about them."""
    monkeypatch.setattr(module, "write_report", lambda *_: None)


@pytest.fixture
def three_shards(fake_engine: None, tmp_path: Path) -> InProcess:
    runs = InProcess(tmp_path)
    runs.write(*(utterance(f"u{number}") for number in range(9)), rows_per_shard=3)
    return runs


def value(runs: InProcess, metric: str, strategy: str = "greedy") -> float:
    where = "WHERE metric = '{}' AND strategy = '{}' AND slice = 'all' AND versus IS NULL"
    (row,) = runs.rows(f"SELECT value FROM metrics {where.format(metric, strategy)}")
    number: float = row["value"]
    return number


@pytest.mark.usefixtures("no_report")
def test_a_mean_is_that_of_the_rows(three_shards: InProcess) -> None:
    three_shards.reduced(three_shards.finished(strategies=["greedy", "w_bon"]))
    for strategy in ("greedy", "w_bon"):
        rows = three_shards.rows(f"SELECT js, bc FROM predictions WHERE strategy = '{strategy}'")
        for name in ("js", "bc"):
            mean = float(np.mean([row[name] for row in rows]))
            assert value(three_shards, name, strategy) == pytest.approx(mean, abs=1e-8)


@pytest.mark.usefixtures("no_report")
def test_how_shards_are_grouped_changes_no_byte(
    three_shards: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = three_shards.finished(strategies=["greedy", "w_bon"])
    whole = three_shards.reduced(plan)
    monkeypatch.setattr("raypipe.runtime.finish.groups.BYTES_PER_GROUP", 1)
    assert three_shards.reduced(plan) == whole


@pytest.mark.usefixtures("no_report")
def test_only_the_pairs_that_are_named_are_compared(three_shards: InProcess) -> None:
    plan = three_shards.finished(strategies=["greedy", "w_bon", "bon"])
    three_shards.reduced(plan, compared=frozenset({("greedy", "w_bon")}))
    rows = three_shards.rows(
        "SELECT DISTINCT strategy, versus FROM metrics"
        " WHERE versus NOT IN ('prior', 'uniform') ORDER BY ALL"
    )
    pairs = {frozenset((row["strategy"], row["versus"])) for row in rows}
    assert pairs == {frozenset(("greedy", "w_bon"))}


@pytest.mark.usefixtures("no_report")
def test_intervals_hold_the_value_and_repeat_with_the_seed(
    three_shards: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raypipe.metrics.metric_rows.LEAST_UTTERANCES", 1)
    plan = three_shards.finished(strategies=["greedy"])
    first = three_shards.reduced(plan)
    (row,) = three_shards.rows(
        "SELECT value, ci_low, ci_high FROM metrics"
        " WHERE metric = 'js' AND slice = 'all' AND versus IS NULL AND strategy = 'greedy'"
    )
    assert row["ci_low"] < row["value"] < row["ci_high"]
    assert three_shards.reduced(plan) == first
    assert three_shards.reduced(plan, settings=REPLICATES.model_copy(update={"seed": 1})) != first
