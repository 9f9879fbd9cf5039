"""From predictions/ to metrics/ and the report, with tasks that run here, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from in_process import InProcess, utterance
from rich.console import Console

from raypipe.config import MetricsConfig
from raypipe.runtime.finish import reduce as module
from raypipe.runtime.finish.reduce import reduce_tables, write_report
from raypipe.runtime.infer.plan import Plan
from raypipe.store.run_record import read_record

SETTINGS = MetricsConfig(replicates=100)


@pytest.fixture(autouse=True)
def _tasks_run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_order(task: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        return map(task, items)

    here = SimpleNamespace(
        put=lambda value: value, get=lambda value: value, remote=lambda **_: lambda task: task
    )
    monkeypatch.setattr(module, "ray", here)
    monkeypatch.setattr(module, "in_order", in_order)


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts take a second each time, and only some tests are about them."""
    monkeypatch.setattr(module, "html_report", lambda *_: "a report")


@pytest.fixture
def three_shards(fake_engine: None, tmp_path: Path) -> InProcess:
    runs = InProcess(tmp_path)
    runs.write(*(utterance(f"u{number}") for number in range(9)), rows_per_shard=3)
    return runs


def reduced(runs: InProcess, plan: Plan, **changes: Any) -> bytes:
    context = plan.context
    names = [
        context.object_name("predictions", "distribution", task.entry.name)
        for task in plan.model_runs[0].tasks
    ]
    arguments: dict[str, Any] = {"labels": context.labels, "settings": SETTINGS, **changes}
    reduce_tables(
        context.tables,
        {("fake", "distribution"): names},
        read_record(context.tables),
        Console(quiet=True),
        **arguments,
    )
    return runs.objects()["metrics/model=fake/prompt=distribution/metrics.parquet"]


def value(runs: InProcess, metric: str, strategy: str = "greedy") -> float:
    where = "WHERE metric = '{}' AND strategy = '{}' AND slice = 'all' AND versus IS NULL"
    (row,) = runs.rows(f"SELECT value FROM metrics {where.format(metric, strategy)}")
    number: float = row["value"]
    return number


@pytest.mark.usefixtures("no_report")
def test_a_mean_is_that_of_the_rows(three_shards: InProcess) -> None:
    reduced(three_shards, three_shards.finished(strategies=["greedy", "w_bon"]))
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
    whole = reduced(three_shards, plan)
    monkeypatch.setattr(module, "SHARDS_PER_TASK", 1)
    assert reduced(three_shards, plan) == whole


@pytest.mark.usefixtures("no_report")
def test_only_the_pairs_that_are_named_are_compared(three_shards: InProcess) -> None:
    plan = three_shards.finished(strategies=["greedy", "w_bon", "bon"])
    reduced(three_shards, plan, compared=frozenset({("greedy", "w_bon")}))
    rows = three_shards.rows(
        "SELECT DISTINCT strategy, versus FROM metrics"
        " WHERE versus NOT IN ('prior', 'uniform') ORDER BY ALL"
    )
    pairs = {frozenset((row["strategy"], row["versus"])) for row in rows}
    assert pairs == {frozenset(("greedy", "w_bon"))}


@pytest.mark.usefixtures("no_report")
def test_intervals_hold_the_value_and_repeat_with_the_seed(three_shards: InProcess) -> None:
    plan = three_shards.finished(strategies=["greedy"])
    first = reduced(three_shards, plan)
    (row,) = three_shards.rows(
        "SELECT value, ci_low, ci_high FROM metrics"
        " WHERE metric = 'js' AND slice = 'all' AND versus IS NULL AND strategy = 'greedy'"
    )
    assert row["ci_low"] < row["value"] < row["ci_high"]
    assert reduced(three_shards, plan) == first
    assert reduced(three_shards, plan, settings=SETTINGS.model_copy(update={"seed": 1})) != first


def test_the_report_is_written_from_what_the_tables_say(three_shards: InProcess) -> None:
    options = {"fail": ["greedy"], "fail_ids": ["u3"]}
    model = {"engine": "fake", "path": "none", "name": "fake", "options": options}
    plan = three_shards.finished(strategies=["greedy", "w_bon"], model=model)
    reduced(three_shards, plan)
    tables = three_shards.tables
    page = tables.read("report.html").decode()
    assert "w_bon" in page
    assert "made_up" in page
    tables.write("report.html", b"")
    write_report(tables, read_record(tables), plan.context.labels)
    assert tables.read("report.html").decode() == page
