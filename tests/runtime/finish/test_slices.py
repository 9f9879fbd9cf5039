"""Slices by columns of the corpus, from a config or an option to rows of ``metrics/``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from in_process import InProcess, utterance

from raypipe.config import MetricsConfig
from raypipe.errors import ConfigError
from raypipe.runtime.finish import reduce as module
from raypipe.runtime.finish.slices import check_columns
from raypipe.runtime.reaggregate.plan import Changes, plan_reaggregation
from raypipe.shards import read_index
from raypipe.store.location import Location
from raypipe.store.run_record import read_record

SLICES = MetricsConfig(replicates=100, slices=("gender", "duration_s", "dataset", "split"))


@pytest.fixture
def runs(fake_engine: None, tmp_path: Path) -> InProcess:
    """Three shards; of the first shard's utterances nothing is told."""
    made = InProcess(tmp_path)
    rows = [utterance(f"u{number}", seconds=0.3 + number / 10) for number in range(9)]
    told = [
        replace(row, facts={"gender": "female" if place % 2 else "male"} if place > 2 else {})
        for place, row in enumerate(rows)
    ]
    made.write(*told, rows_per_shard=3)
    return made


def test_every_value_is_a_slice_and_every_utterance_stands_in_one(
    runs: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "write_report", lambda *_: None)
    runs.reduced(runs.finished(metrics=SLICES.model_dump()), SLICES)
    rows = runs.rows(
        "SELECT slice, n, value FROM metrics WHERE metric = 'js' AND versus IS NULL"
        " AND strategy = 'greedy' AND contains(slice, '=') AND NOT starts_with(slice, 'label=')"
    )
    sizes = {row["slice"]: row["n"] for row in rows}
    assert sizes.pop("dataset=noise") == sizes.pop("split=test") == 9
    assert (sizes.pop("gender=female"), sizes.pop("gender=male")) == (3, 3)
    assert all(name.startswith("duration_s=") for name in sizes)
    assert sum(sizes.values()) == 9
    (mean,) = runs.rows(
        "SELECT avg(js) AS js FROM predictions WHERE strategy = 'greedy'"
        " AND facts['gender'] = 'female'"
    )
    values = {row["slice"]: row["value"] for row in rows}
    assert values["gender=female"] == pytest.approx(mean["js"], abs=1e-8)
    durations = runs.rows("SELECT DISTINCT utterance_id, duration_s FROM predictions ORDER BY ALL")
    assert [row["duration_s"] for row in durations] == pytest.approx(
        [0.3 + number / 10 for number in range(9)]
    )


def test_how_shards_are_grouped_changes_no_byte(
    runs: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "write_report", lambda *_: None)
    plan = runs.finished()
    whole = runs.reduced(plan, SLICES)
    monkeypatch.setattr("raypipe.runtime.finish.groups.BYTES_PER_GROUP", 1)
    assert runs.reduced(plan, SLICES) == whole


def test_a_column_that_nobody_has_is_refused_before_any_work(runs: InProcess) -> None:
    with pytest.raises(ConfigError, match="no utterance has age; there are gender, dataset"):
        runs.plan(metrics={"slices": ["gender", "age"]})
    assert runs.plan(metrics={"slices": ["gender", "peak"]}).config.metrics.slices == (
        "gender",
        "peak",
    )


@pytest.mark.parametrize(
    ("slices", "fault"),
    [
        (["speaker"], "per_speaker: true"),
        (["label"], "every plurality is a slice anyway"),
        (["a=b"], "is not the name of a column"),
        ([" "], "is not the name of a column"),
        (["age", "age"], "name every column once"),
    ],
)
def test_what_is_no_column_is_refused(runs: InProcess, slices: list[str], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        runs.config(metrics={"slices": slices})


def test_a_reaggregation_slices_anew_and_predicts_nothing_else(runs: InProcess) -> None:
    runs.finished(strategies=["greedy"])

    def planned(*slices: str) -> MetricsConfig:
        changes = Changes(slices=slices or None)
        made = plan_reaggregation(runs.tables.uri, changes, output=None, endpoint=None)
        assert made.work.fingerprint == read_record(runs.tables).fingerprint
        return made.config.metrics

    assert planned("gender").slices == ("gender",)
    assert planned().slices == ()
    with pytest.raises(ConfigError, match="no utterance has session"):
        planned("gender", "session")


def test_columns_are_looked_up_until_every_one_was_seen(runs: InProcess) -> None:
    place = Location.parse(str(runs.shards))
    names = [entry.name for entry in read_index(place).shards]
    check_columns(["gender", "duration_s", "peak"], place, names)
    check_columns(["duration_s"], place, ["nowhere.parquet"])  # known without a look
    with pytest.raises(ConfigError, match="no utterance has accent; there are gender, dataset"):
        check_columns(["gender", "accent"], place, names)
