"""Label tables in the place of a corpus's labels and beside them, in runs in this process."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from in_process import LABELS, InProcess
from label_files import shares_of, write_table

from raypipe.config import LabelsConfig
from raypipe.errors import ConfigError
from raypipe.runtime.finish import reduce as reduce_module
from raypipe.runtime.finish.labels import (
    ids_in,
    read_table,
    relabelled_rows,
    truth_tables,
)
from raypipe.runtime.finish.output import finished_record
from raypipe.runtime.infer.plan import make_plan
from raypipe.runtime.reaggregate.plan import Changes, plan_reaggregation
from raypipe.runtime.reaggregate.work import reaggregate_part
from raypipe.store.location import Location
from raypipe.store.query import query
from raypipe.store.run_record import read_record

MIXED = {
    "u0": shares_of(anger=0.4, neutral=0.6),
    "u1": shares_of(fear=0.5, sadness=0.5),
    "u4": shares_of(happiness=1.0),
    "elsewhere": shares_of(neutral=1.0),
}


@pytest.fixture
def table(tmp_path: Path) -> str:
    return write_table(tmp_path / "mixed.parquet", MIXED)


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts take a second each time, and have their own tests."""
    monkeypatch.setattr(reduce_module, "write_report", lambda *_: None)


def predictions(runs: InProcess) -> list[dict[str, Any]]:
    return runs.rows("FROM predictions ORDER BY utterance_id, strategy")


def truth(row: dict[str, Any]) -> tuple[tuple[float, ...], str | None]:
    return tuple(row["soft_label"]), row["plurality"]


def test_a_table_instead_changes_the_truth_of_predictions_alone(
    in_process: InProcess, table: str, tmp_path: Path
) -> None:
    in_process.finished(strategies=["greedy", "w_bon"])
    own = predictions(in_process)
    other = InProcess(tmp_path / "other", shards=in_process.shards)
    plan = other.finished(
        strategies=["greedy", "w_bon"], labels=[{"table": table, "place": "instead"}]
    )
    changed = predictions(other)
    assert [row["probs"] for row in changed] == [row["probs"] for row in own]
    for before, after in zip(own, changed, strict=True):
        shares = MIXED.get(before["utterance_id"])
        if shares is None:
            assert {**after, "run": None} == {**before, "run": None}
        else:
            pluralities = {"u0": "neutral", "u1": None, "u4": "happiness"}
            assert truth(after) == (shares, pluralities[before["utterance_id"]])
            assert (after["js"], after["true_entropy"]) != (before["js"], before["true_entropy"])
            assert after["votes_union"] == before["votes_union"]
    records = read_record(in_process.tables), read_record(other.tables)
    assert records[0].generation_fingerprint == records[1].generation_fingerprint
    assert records[0].fingerprint != records[1].fingerprint
    assert records[0].label_tables is None
    assert "label_tables" not in records[0].as_json()
    [used] = records[1].label_tables or ()
    assert (used.name, used.place, used.entries, used.matched) == ("mixed", "instead", 4, 3)
    assert used.fingerprint == plan.truth.fingerprint
    # The stages of the run travel without the distributions.
    assert b"elsewhere" not in pickle.dumps(plan.context)


def test_a_reaggregation_under_a_table_is_the_run_that_would_have_had_it(
    in_process: InProcess, table: str, tmp_path: Path
) -> None:
    in_process.finished(strategies=["greedy", "w_bon"])
    other = InProcess(tmp_path / "other", shards=in_process.shards)
    other.finished(strategies=["greedy", "w_bon"], labels=[{"table": table, "place": "instead"}])
    expected = read_record(other.tables)

    def again(run: InProcess, **changes: Any) -> Any:
        place = str(tmp_path / "again" / str(len(changes)))
        plan = plan_reaggregation(
            run.tables.uri, Changes.of(**changes), output=place, endpoint=None
        )
        for part in plan.pending:
            assert reaggregate_part(part, plan.work) is None
        return plan

    made = again(in_process, labels=table)
    assert made.work.fingerprint == expected.fingerprint
    assert made.label_tables == expected.label_tables
    name = "predictions/model=fake/prompt=distribution/shard-000000.parquet"
    assert made.work.output.read(name) == other.tables.read(name)
    # The other run's own table is used where nothing is said, and can be left out.
    assert again(other).work.fingerprint == expected.fingerprint
    own = plan_reaggregation(other.tables.uri, Changes(labels="own"), output=None, endpoint=None)
    assert own.work.fingerprint == read_record(in_process.tables).fingerprint
    assert own.label_tables is None
    beside = plan_reaggregation(
        other.tables.uri, Changes(labels_beside=(table,)), output=None, endpoint=None
    )
    assert beside.work.fingerprint == own.work.fingerprint
    assert [used.place for used in beside.label_tables or ()] == ["beside"]


@pytest.mark.usefixtures("no_report")
def test_a_table_beside_adds_the_rows_of_a_run_that_has_it_instead(
    in_process: InProcess, table: str, tmp_path: Path
) -> None:
    """The oracle is the whole reduce over predictions under the other labels."""
    strategies = ["greedy", "w_bon"]
    labels = [{"table": table, "name": "mixed"}]
    plan = in_process.finished(strategies=strategies)
    in_process.reduced(plan)
    alone = in_process.rows("FROM metrics")
    predicted = in_process.objects()
    both = in_process.plan(strategies=strategies, labels=labels)
    assert both.is_done
    assert finished_record(in_process.tables, both.config.metrics, both.label_tables) is None
    in_process.reduced(plan, truth=both.truth)
    name = "metrics/model=fake/prompt=distribution/metrics.parquet"
    objects = in_process.objects()
    assert {**objects, name: b""} == {**predicted, name: b""}
    rows = in_process.rows("FROM metrics")
    assert [row for row in rows if row["labels"] is None] == alone
    other = InProcess(tmp_path / "other", shards=in_process.shards)
    other.reduced(other.finished(strategies=strategies, labels=[{**labels[0], "place": "instead"}]))
    expected = [{**row, "labels": "mixed"} for row in other.rows("FROM metrics")]
    assert [row for row in rows if row["labels"] is not None] == expected
    assert expected


def test_rows_are_relabelled_as_utterances_are(in_process: InProcess, table: str) -> None:
    in_process.finished(strategies=["greedy", "token"])
    rows = query(in_process.tables, "FROM predictions")
    [placed] = truth_tables([LabelsConfig(table=table)], LABELS, None).beside
    changed = relabelled_rows(rows, read_table(placed))
    assert changed.schema.names == rows.schema.names
    for before, after in zip(rows.to_pylist(), changed.to_pylist(), strict=True):
        shares = MIXED.get(before["utterance_id"])
        if shares is None:
            assert after == before
        else:
            label = {"u0": "neutral", "u1": None, "u4": "happiness"}[before["utterance_id"]]
            assert truth(after) == (shares, label)


def test_a_corpus_without_votes_can_get_labels() -> None:
    kinds = [("utterance_id", pa.string()), ("soft_label", pa.list_(pa.float64()))]
    schema = pa.schema([*kinds, ("plurality", pa.string())])
    rows = pa.table({"utterance_id": ["a", "b"]}).to_pylist()
    bare = pa.Table.from_pylist(rows, schema=schema)
    from raypipe.records import LabelTable

    named = LabelTable("t", {"b": shares_of(fear=1.0)}, LABELS, "f")
    changed = relabelled_rows(bare, named).to_pylist()
    assert [row["plurality"] for row in changed] == [None, "fear"]
    assert [row["soft_label"] for row in changed] == [None, list(shares_of(fear=1.0))]


def test_a_table_that_names_no_utterance_is_refused_before_any_work(
    in_process: InProcess, tmp_path: Path
) -> None:
    other = write_table(tmp_path / "other.parquet", {"x1": shares_of(fear=1.0)})
    with pytest.raises(ConfigError, match=r"names none of the 6 utterances \(its first is 'x1'\)"):
        make_plan(in_process.config(labels=[{"table": other}]))
    assert not in_process.tables.list()


def test_tables_have_names_of_their_own(table: str) -> None:
    twice = [LabelsConfig(table=table), LabelsConfig(table=table, place="instead")]
    with pytest.raises(ConfigError, match="a name of its own"):
        truth_tables(twice, LABELS, None)
    named = [twice[0], twice[1].model_copy(update={"name": "b"})]
    assert [known.name for known in truth_tables(named, LABELS, None).all] == ["b", "mixed"]


def test_a_table_that_changes_while_a_job_runs_stops_it(table: str) -> None:
    [placed] = truth_tables([LabelsConfig(table=table)], LABELS, None).beside
    write_table(Path(table), {"u0": shares_of(fear=1.0)})
    with pytest.raises(ConfigError, match="has changed since the job began"):
        read_table(placed)


def test_an_object_that_cannot_be_read_has_no_ids(in_process: InProcess) -> None:
    place = Location.parse(str(in_process.shards))
    (in_process.shards / "broken.parquet").write_bytes(b"broken")
    names = ["broken.parquet", "shard-000000.parquet"]
    [(name, ids)] = ids_in(place, names)
    assert name == "shard-000000.parquet"
    assert ids == [f"u{number}" for number in range(6)]
