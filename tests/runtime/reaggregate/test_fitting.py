"""Fitted strategies of a reaggregation, with tasks that run here."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from in_process import TASKS_RUN_HERE, InProcess, in_order_here, reduce_here, utterance
from rich.console import Console

from raypipe.errors import ConfigError
from raypipe.runtime.finish import report
from raypipe.runtime.reaggregate import fitting, job
from raypipe.runtime.reaggregate.plan import Changes
from raypipe.store.location import Location
from raypipe.store.query import query
from raypipe.store.run_record import RunRecord
from raypipe.strategies import Settings, Variant
from raypipe.strategies.catalogue.calibrate import LOSSES, calibrated

COUNT = 28
STRATEGIES = ["greedy", "token", "calibrate", "conformal"]
SPLITS = ("dev", "test")
TABLES = (("* EXCLUDE (run)", "fits"), ("*", "metrics"), ("* EXCLUDE (run)", "predictions"))


@pytest.fixture(autouse=True)
def _tasks_run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def session(address: str | None = None) -> Iterator[None]:
        yield

    for module in (job, fitting):
        monkeypatch.setattr(module, "ray", TASKS_RUN_HERE)
        monkeypatch.setattr(module, "in_order", in_order_here)
    reduce_here(monkeypatch, job)
    monkeypatch.setattr(job, "ray_session", session)
    monkeypatch.setattr(report, "tallied_report", lambda *_, **__: "a report")


def spoken(number: int) -> Any:
    """An utterance of one of seven speakers, whose votes differ from clip to clip."""
    rng = np.random.default_rng(number)
    soft = tuple((rng.multinomial(5, np.full(6, 1 / 6)) / 5).tolist())
    own = utterance(f"u{number:02d}")
    return replace(own, speaker=f"s{number % 7}", split=SPLITS[number % 2], soft_label=soft)


def finished(folder: Path, shards: int = 4, **changes: Any) -> InProcess:
    runs = InProcess(folder)
    rows = [replace(spoken(number), **changes) for number in range(COUNT)]
    runs.write(*rows, rows_per_shard=-(-COUNT // shards))
    runs.finished(strategies=["greedy", "token", "token_softmax", "w_bon"])
    return runs


@pytest.fixture
def run(fake_engine: None, tmp_path: Path) -> InProcess:
    return finished(tmp_path)


def again(run: InProcess, output: Path, **changes: Any) -> RunRecord:
    quiet = Console(file=io.StringIO())
    changes = {"replicates": 100, "strategies": STRATEGIES, **changes}
    if "conformal" in changes["strategies"]:
        changes.setdefault("scores", ["token"])
    changed = Changes.of(**changes)
    return job.reaggregate(run.tables.uri, changed, output=str(output), console=quiet)


def rows(output: Path, sql: str) -> list[dict[str, Any]]:
    answer: list[dict[str, Any]] = query(Location.parse(str(output)), sql).to_pylist()
    return answer


def by_id(output: Path, strategy: str) -> dict[str, dict[str, Any]]:
    sql = f"SELECT * FROM predictions WHERE strategy = '{strategy}'"
    return {row["utterance_id"]: row for row in rows(output, sql)}


@pytest.mark.parametrize("target", ["js", "likelihood"])
def test_predictions_are_those_of_a_fit_to_the_other_folds_alone(
    run: InProcess, tmp_path: Path, target: str
) -> None:
    """Everything again from the tables: who is in which fold, the best temperature, the shares."""
    again(run, tmp_path / "made", target=[target], fit_folds=[3])
    base, made = by_id(tmp_path / "made", "token"), by_id(tmp_path / "made", "calibrate")
    fits = rows(tmp_path / "made", "SELECT * FROM fits WHERE strategy = 'calibrate' ORDER BY fold")
    assert sorted(name for fit in fits for name in fit["scored_speakers"]) == [
        f"s{number}" for number in range(7)
    ]
    for fit in fits:
        temperature = dict(fit["parameters"])["temperature"]
        own = [row for row in base.values() if row["speaker"] in fit["scored_speakers"]]
        others = [row for row in base.values() if row["speaker"] not in fit["scored_speakers"]]
        assert (fit["base"], fit["fit_on"], fit["fitted_rows"]) == (
            "token",
            "speakers",
            len(others),
        )
        truth = np.array([row["soft_label"] for row in others])
        probs = np.array([row["probs"] for row in others])

        def loss(temperature: float, truth: Any = truth, probs: Any = probs) -> float:
            powers = probs ** (1 / temperature)
            own = powers / powers.sum(axis=1, keepdims=True)
            return float(LOSSES[target](truth, own).mean())

        assert fit["loss_after"] == pytest.approx(loss(temperature), abs=1e-9)
        assert fit["loss_before"] == pytest.approx(loss(1.0), abs=1e-9)
        grid = np.exp(np.linspace(-np.log(32), np.log(32), 400))
        assert fit["loss_after"] <= min(map(loss, grid)) + 1e-9
        for row in own:
            powers = np.array(row["probs"]) ** (1 / temperature)
            found = made[row["utterance_id"]]["probs"]
            np.testing.assert_allclose(found, powers / powers.sum(), atol=1e-9)


def test_sets_and_their_coverage_follow_from_the_tables(run: InProcess, tmp_path: Path) -> None:
    again(run, tmp_path / "made", coverage=[0.6], fit_folds=[7])
    made = by_id(tmp_path / "made", "conformal")
    fits = rows(tmp_path / "made", "SELECT * FROM fits WHERE strategy = 'conformal'")
    threshold_of = {
        name: dict(fit["parameters"])["threshold"]
        for fit in fits
        for name in fit["scored_speakers"]
    }
    shares, sizes = [], []
    for row in made.values():
        top = max(row["probs"])
        inside = [
            label
            for label, share in zip(row["labels"], row["probs"], strict=True)
            if share >= threshold_of[row["speaker"]] - 1e-9 or share == top
        ]
        assert row["label_set"] == inside
        votes = dict(zip(row["labels"], row["soft_label"], strict=True))
        shares.append(sum(votes[label] for label in inside))
        sizes.append(len(inside))
    sql = "SELECT metric, value, n FROM metrics WHERE slice = 'all' AND metric LIKE 'set_%'"
    found = {row["metric"]: (row["value"], row["n"]) for row in rows(tmp_path / "made", sql)}
    assert found == {
        "set_coverage": (pytest.approx(np.mean(shares), abs=1e-8), COUNT),
        "set_size": (pytest.approx(np.mean(sizes), abs=1e-8), COUNT),
    }


@pytest.mark.parametrize("fit_on", ["speakers", "split:dev"])
def test_the_cut_into_shards_changes_no_bit(fake_engine: None, tmp_path: Path, fit_on: str) -> None:
    tables = []
    for shards in (1, 2, 7):
        own = finished(tmp_path / f"cut{shards}", shards)
        output = tmp_path / f"made{shards}"
        again(own, output, fit_on=[fit_on], bias=[True])
        tables.append(
            [
                rows(output, f"SELECT {columns} FROM {table} ORDER BY ALL")
                for columns, table in TABLES
            ]
        )
        assert all(tables[-1])
    assert repr(tables[0]) == repr(tables[1]) == repr(tables[2])


def test_a_split_that_is_fitted_to_has_no_rows_and_is_accounted_for(
    run: InProcess, tmp_path: Path
) -> None:
    record = again(run, tmp_path / "made", fit_on=["split:dev"])
    sql = "SELECT strategy, split, count(*) AS n FROM predictions GROUP BY ALL ORDER BY ALL"
    found = {(row["strategy"], row["split"]): row["n"] for row in rows(tmp_path / "made", sql)}
    assert found == {
        **dict.fromkeys((("greedy", split) for split in SPLITS), COUNT // 2),
        **dict.fromkeys((("token", split) for split in SPLITS), COUNT // 2),
        ("calibrate", "test"): COUNT // 2,
        ("conformal", "test"): COUNT // 2,
    }
    counts = record.done_counts.strategies
    assert (counts["calibrate"].valid, counts["calibrate"].fitted_on) == (COUNT // 2, COUNT // 2)
    assert counts["token"].fitted_on is None
    sql = "SELECT strategy, n FROM metrics WHERE metric = 'js' AND slice = 'all' AND versus IS NULL"
    n = {row["strategy"]: row["n"] for row in rows(tmp_path / "made", sql)}
    assert (n["calibrate"], n["token"]) == (COUNT // 2, COUNT)


def test_an_interrupted_one_goes_on_with_the_parameters_that_it_has(
    run: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again(run, tmp_path / "whole")
    monkeypatch.setattr(job, "_read_shards", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        again(run, tmp_path / "made")
    assert list((tmp_path / "made" / "fits").rglob("*.parquet"))
    monkeypatch.undo()
    for module in (job, fitting):
        monkeypatch.setattr(module, "ray", TASKS_RUN_HERE)
        monkeypatch.setattr(module, "in_order", in_order_here)
    reduce_here(monkeypatch, job)
    monkeypatch.setattr(job, "ray_session", lambda address: contextmanager(lambda: iter([0]))())
    monkeypatch.setattr(report, "tallied_report", lambda *_, **__: "a report")
    monkeypatch.setattr(fitting, "_read", lambda *_: pytest.fail("it was fitted already"))
    again(run, tmp_path / "made")
    for path in sorted((tmp_path / "whole").rglob("*.parquet")):
        other = tmp_path / "made" / path.relative_to(tmp_path / "whole")
        assert path.read_bytes() == other.read_bytes(), path


def test_a_sweep_says_under_which_name_what_was_fitted(run: InProcess, tmp_path: Path) -> None:
    record = again(
        run,
        tmp_path / "made",
        strategies=["token", "calibrate", "conformal"],
        base=["greedy", "pool"],
        target=["js", "likelihood"],
    )
    names = [
        f"calibrate[base={base},target={target}]"
        for base in ("greedy", "pool")
        for target in ("js", "likelihood")
    ]
    assert record.settings is not None
    assert [name for name in record.settings if name.startswith("calibrate")] == names
    assert record.settings[names[2]]["of"] == "greedy+token_softmax"
    assert "of" not in record.settings[names[0]]
    found = rows(tmp_path / "made", "SELECT DISTINCT strategy, base FROM fits ORDER BY strategy")
    assert [row["base"] for row in found] == ["greedy", "greedy", "pool", "pool", "token"]
    settings = rows(
        tmp_path / "made",
        "SELECT base, target, fit_on, fit_folds FROM settings WHERE rule = 'calibrate'",
    )
    assert settings[0] == {"base": "greedy", "target": "js", "fit_on": "speakers", "fit_folds": 10}


def test_an_ensemble_has_a_fit_of_its_own_to_the_mean_of_its_prompts(
    fake_engine: None, tmp_path: Path
) -> None:
    own = InProcess(tmp_path)
    own.write(*map(spoken, range(COUNT)), rows_per_shard=9)
    prompts = [{"template": name} for name in ("distribution", "ambiguous")]
    ensembles = [{"name": "both", "prompts": ["distribution", "ambiguous"]}]
    own.finished(prompts=prompts, ensembles=ensembles, strategies=["greedy", "token"])
    again(own, tmp_path / "made")
    fits = rows(tmp_path / "made", "SELECT * FROM fits WHERE strategy = 'calibrate'")
    assert {fit["prompt"] for fit in fits} == {"distribution", "ambiguous", "both"}
    temperature = {
        name: dict(fit["parameters"])["temperature"]
        for fit in fits
        if fit["prompt"] == "both"
        for name in fit["scored_speakers"]
    }
    sql = "SELECT * FROM predictions WHERE prompt = 'both' AND strategy IN ('token', 'calibrate')"
    found = {(row["strategy"], row["utterance_id"]): row for row in rows(tmp_path / "made", sql)}
    for (strategy, name), row in found.items():
        if strategy == "calibrate":
            mean = np.array(found["token", name]["probs"])
            powers = mean ** (1 / temperature[row["speaker"]])
            np.testing.assert_allclose(row["probs"], powers / powers.sum(), atol=1e-9)


def test_labels_in_the_place_of_the_corpus_s_are_what_is_fitted_to(
    run: InProcess, tmp_path: Path
) -> None:
    names = sorted(by_id_of_run(run))
    lines = [",angry,disgust,fear,happy,neutral,sad", *(f"{name},0,0,1,0,0,0" for name in names)]
    (tmp_path / "fear.csv").write_text("\n".join(lines))
    labels = str(tmp_path / "fear.csv")
    again(run, tmp_path / "made", labels=labels, bias=[True], target=["likelihood"])
    parameters = [dict(row["parameters"]) for row in rows(tmp_path / "made", FITTED)]
    assert all(own["bias=fear"] == max(list(own.values())[1:]) for own in parameters)


FITTED = "SELECT parameters FROM fits WHERE strategy = 'calibrate'"


def by_id_of_run(run: InProcess) -> set[str]:
    return {row["utterance_id"] for row in run.rows("SELECT utterance_id FROM predictions")}


@pytest.mark.parametrize(
    ("corpus", "changes", "message"),
    [
        ({"speaker": None}, {}, r"calibrate: 28 of 28 utterances have no speaker"),
        ({}, {"fit_on": ["split:val"]}, r"no utterance is of split val"),
        ({"split": "dev"}, {"fit_on": ["split:dev"]}, "every utterance is of split dev"),
        (
            {},
            {"fit_on": ["split:dev"], "strategies": ["calibrate"]},
            "name a strategy beside it that is not fitted to a split",
        ),
        ({}, {"strategies": ["token"], "target": ["js"]}, "calibrate is not among the strategies"),
    ],
)
def test_what_cannot_be_fitted_is_refused_and_leaves_no_output(
    fake_engine: None, tmp_path: Path, corpus: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    own = finished(tmp_path, **corpus)
    with pytest.raises(ConfigError, match=message):
        again(own, tmp_path / "made", **changes)
    assert not [path for path in (tmp_path / "made").rglob("*") if path.is_file()]


def test_a_strategy_that_is_fitted_to_is_asked_for_like_any_other() -> None:
    variants = [Variant(name, name, Settings()) for name in ("token", "calibrate", "adaptive")]
    assert [each.name for each in fitting.fitted_variants(variants)] == ["calibrate"]


def test_probs_of_the_demo_s_kind_are_calibrated_row_by_row() -> None:
    probs = np.array([[0.5, 0.5], [0.9, 0.1]])
    both = calibrated(probs, 0.7, np.zeros(2))
    for row, own in zip(probs, both, strict=True):
        np.testing.assert_array_equal(calibrated(row[None], 0.7, np.zeros(2))[0], own)


def test_the_fits_are_a_table_of_their_own(run: InProcess, tmp_path: Path) -> None:
    again(run, tmp_path / "made")
    (path,) = (tmp_path / "made" / "fits").rglob("*.parquet")
    assert pq.read_table(path).num_rows == 2 * 7
