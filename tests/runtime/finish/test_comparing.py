"""Runs read for a comparison, from the command line to the page and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from in_process import InProcess, utterance
from typer.testing import CliRunner

from raypipe.cli import app
from raypipe.errors import ConfigError, StoreError
from raypipe.runtime.finish.comparing import compare_runs
from raypipe.store.location import Location

STRATEGIES = ["greedy", "w_bon", "token"]


def finished(folder: Path, shards: Path | None = None, **changes: Any) -> InProcess:
    runs = InProcess(folder, shards=shards)
    if shards is None:
        runs.write(*(utterance(f"u{number}") for number in range(6)), rows_per_shard=3)
    runs.reduced(runs.finished(strategies=STRATEGIES, **changes))
    return runs


@pytest.fixture
def first(fake_engine: None, tmp_path: Path) -> InProcess:
    return finished(tmp_path / "first")


def test_differences_within_a_run_are_those_of_its_metrics(first: InProcess) -> None:
    """The same bootstrap as the reduce has, with its defaults of 100 replicates and seed 0."""
    comparison = compare_runs(
        {"first": first.tables}, metrics=["js", "bc", "accuracy"], replicates=100
    )
    stored = {
        (row["strategy"], row["versus"], row["metric"]): row
        for row in first.rows("FROM metrics WHERE versus IS NOT NULL AND slice = 'all'")
    }
    compared = [item for item in comparison.differences if "prior" not in (item.left, item.right)]
    assert len(compared) == 9
    for item in compared:
        row = stored[item.left, item.right, item.metric]
        assert (item.value, item.n) == pytest.approx((row["value"], row["n"]), abs=1e-9)
        if row["ci_low"] is not None:
            assert (item.low, item.high) == pytest.approx((row["ci_low"], row["ci_high"]), abs=1e-9)
            assert item.p_value == pytest.approx(row["p_value"], rel=1e-6)


def test_two_runs_of_one_corpus_are_told_apart_by_name(first: InProcess, tmp_path: Path) -> None:
    second = finished(tmp_path / "second", shards=first.shards)
    shown = CliRunner().invoke(
        app,
        ["compare", first.tables.uri, second.tables.uri, "--strategy", "greedy", "--json"],
        catch_exceptions=False,
    )
    document = json.loads(shown.stdout)
    names = [Path(run.tables.uri).name for run in (first, second)]
    assert len(set(names)) == 1  # both are called alike, so the places tell them apart
    systems = {item["system"] for item in document["systems"]}
    assert systems == {f"greedy · {run.tables.uri}" for run in (first, second)} | {"prior"}
    [same] = [
        item
        for item in document["differences"]
        if item["metric"] == "js" and "prior" not in (item["left"], item["right"])
    ]
    assert (same["value"], same["p_value"], same["corrected"]) == (0.0, None, None)
    assert document["best"]["js"][:2] == sorted(systems - {"prior"})


def test_the_table_names_what_cannot_be_told_apart(first: InProcess) -> None:
    shown = CliRunner().invoke(
        app, ["compare", first.tables.uri, "--metrics", "js,macro_f1"], catch_exceptions=False
    )
    assert "JS, lower is better" in shown.stdout
    assert "Macro-F1, higher is better" in shown.stdout
    assert "cannot be told apart" in " ".join(shown.stdout.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": ["ece"]}, "'ece' is none that can be compared: js, "),
        (
            {"strategies": ["w_bon[tau=2]"]},
            r"no run has a strategy 'w_bon\[tau=2\]'; there are: ",
        ),
    ],
)
def test_what_is_not_there_is_refused(
    first: InProcess, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        compare_runs({"first": first.tables}, **{"metrics": ["js"], "replicates": 5} | options)


def test_an_unfinished_run_is_refused(fake_engine: None, tmp_path: Path) -> None:
    runs = InProcess(tmp_path)
    runs.write(utterance("u0"))
    runs.answered(strategies=STRATEGIES)
    with pytest.raises((ConfigError, StoreError)):
        compare_runs({"run": runs.tables}, metrics=["js"], replicates=5)


def test_a_place_without_a_run_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        compare_runs({"x": Location.parse(str(tmp_path))}, metrics=["js"], replicates=5)
