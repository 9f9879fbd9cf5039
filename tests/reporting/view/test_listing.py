"""Rows of an overview against the same chosen and sorted in Python."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from in_process import InProcess
from viewed_runs import CLIPS, HOSTILE_ID, STRATEGIES, finish

from raypipe.errors import ConfigError, StoreError
from raypipe.reporting.view import listing
from raypipe.reporting.view.listing import OpenRuns
from raypipe.reporting.view.selection import ColumnFilter, ViewSelection
from raypipe.reporting.view.tables import RunTables
from raypipe.store.location import Location
from raypipe.store.query import query
from raypipe.store.run_record import MadeFrom, read_record, write_record

GREEDY, COT, W_BON = (f"0/fake/distribution/{name}" for name in ("greedy", "cot", "w_bon"))
IDS = [*(f"u{number}" for number in range(CLIPS)), HOSTILE_ID]


def opened(*places: Path) -> OpenRuns:
    return OpenRuns([RunTables.open(str(place), None) for place in places])


@pytest.fixture
def runs_open(run: Path) -> Iterator[OpenRuns]:
    runs = opened(run)
    yield runs
    runs.close()


def ids(runs: OpenRuns, **values: Any) -> list[str]:
    page = runs.page(ViewSelection(**values))
    assert page.total >= len(page.rows)
    return [row.utterance_id for row in page.rows]


def predictions(place: Path, strategy: str) -> dict[str, dict[str, Any]]:
    rows = query(Location.parse(str(place)), "SELECT * FROM predictions").to_pylist()
    return {row["utterance_id"]: row for row in rows if row["strategy"] == strategy}


def by(values: dict[str, Any], keys: Sequence[str], *, descending: bool = True) -> list[str]:
    """Keys by their values, those without one last, equal ones by key."""
    sign = -1 if descending else 1
    return sorted(keys, key=lambda key: (values[key] is None, sign * (values[key] or 0.0), key))


def test_every_model_prompt_and_strategy_can_be_chosen(runs_open: OpenRuns) -> None:
    assert [each.approach.strategy for each in runs_open.approaches.values()] == STRATEGIES
    with pytest.raises(ConfigError, match="no run has predictions of"):
        runs_open.page(ViewSelection(of="0/fake/distribution/none"))


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("column", ["js", "bc", "entropy", "true_entropy", "n_votes"])
def test_rows_are_sorted_by_any_number(
    runs_open: OpenRuns, run: Path, column: str, descending: bool
) -> None:
    rows = predictions(run, "greedy")
    values = {key: row[column] for key, row in rows.items()}
    found = ids(runs_open, of=GREEDY, sort=column, descending=descending)
    assert found == by(values, list(values), descending=descending)


def test_an_utterance_without_an_answer_is_listed_last(runs_open: OpenRuns, run: Path) -> None:
    assert predictions(run, "cot")["u2"]["valid"] is False
    assert ids(runs_open, of=COT)[-1] == "u2"
    assert ids(runs_open, of=COT, descending=False)[-1] == "u2"


def test_rows_are_not_sorted_by_texts_or_by_what_is_not_there(runs_open: OpenRuns) -> None:
    for name in ("plurality", "nothing", "js; DROP TABLE x", "transcript"):
        with pytest.raises(ConfigError, match=r"no column|not sorted by"):
            runs_open.page(ViewSelection(sort=name))


def test_the_id_and_the_transcript_are_searched(runs_open: OpenRuns) -> None:
    assert sorted(ids(runs_open, search="U3")) == ["u3"]
    assert sorted(ids(runs_open, search="sentence 4, SAID")) == ["u4"]
    assert ids(runs_open, search="onerror") == [HOSTILE_ID]
    assert ids(runs_open, search="%' OR '1'='1") == []


def test_filters_are_joined_over_both_tables(runs_open: OpenRuns, run: Path) -> None:
    filters = (
        ColumnFilter("facts.gender", "is", "female"),
        ColumnFilter("facts.age", "at_least", "30"),
        ColumnFilter("transcript", "contains", "sentence"),
        ColumnFilter("duration_s", "above", "1"),
    )
    assert sorted(ids(runs_open, filters=filters)) == ["u3", "u5", "u7"]
    invalid = (ColumnFilter("valid", "is", "false"),)
    assert ids(runs_open, of=COT, filters=invalid) == ["u2"]


def test_pages_are_cut_from_one_list(runs_open: OpenRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ids(runs_open, of=GREEDY)
    monkeypatch.setattr(listing, "ROWS_PER_PAGE", 4)
    parts = [ids(runs_open, of=GREEDY, page=number) for number in (1, 2, 3, 4)]
    assert [len(part) for part in parts] == [4, 4, 1, 0]
    assert [key for part in parts for key in part] == whole
    assert runs_open.page(ViewSelection(of=GREEDY, page=4)).total == len(IDS)
    selection = ViewSelection(of=GREEDY)
    assert runs_open.neighbours(selection, 0) == ["", *whole[:2]]
    assert runs_open.neighbours(selection, 3) == whole[2:5]
    assert runs_open.neighbours(selection, 8) == whole[7:]


def test_a_row_says_what_stands_in_the_tables(runs_open: OpenRuns, run: Path) -> None:
    page = runs_open.page(ViewSelection(of=W_BON, sort="bc"))
    rows = predictions(run, "w_bon")
    for row in page.rows:
        known = rows[row.utterance_id]
        assert row.values == {
            name: known[name]
            for name in ("predicted", "plurality", "valid", "invalid_reason", "js", "bc")
        }
    said = {row.utterance_id: row.transcript for row in page.rows}
    assert said["u3"] == "Sentence 3, said TWICE."


def test_two_runs_are_joined_by_utterance(runs: InProcess, run: Path) -> None:
    other = finish(
        runs,
        "second",
        decoding={"beam_count": 5},
        input={"shards": str(runs.shards), "limit": 5},
    )
    both = opened(run, other)
    try:
        first, second = predictions(run, "w_bon"), predictions(other, "w_bon")
        assert len(second) < len(first)
        chosen = {"of": W_BON, "beside": W_BON.replace("0/", "1/"), "side": "difference"}
        values = {
            key: second[key]["bc"] - row["bc"]
            if key in second and None not in (second[key]["bc"], row["bc"])
            else None
            for key, row in first.items()
        }
        page = both.page(ViewSelection(**chosen, sort="bc"))
        found = [row.utterance_id for row in page.rows]
        assert found == by(values, list(first))
        gaps = {row.utterance_id: row.beside for row in page.rows}
        assert [key for key in found if gaps[key] is None] == found[len(second) :]
        by_second = ids(both, **{**chosen, "side": "beside"}, sort="bc")
        assert by_second[0] == max(second, key=lambda key: (second[key]["bc"] or 0, key))
        assert both.chosen(ViewSelection())[1].run == 1, "the second run stands beside the first"
        assert both.chosen(ViewSelection(beside=""))[1] is None
    finally:
        both.close()


def test_two_strategies_of_one_run_stand_side_by_side(runs_open: OpenRuns, run: Path) -> None:
    first, second = predictions(run, "greedy"), predictions(run, "w_bon")
    rows = runs_open.page(ViewSelection(of=GREEDY, beside=W_BON, side="difference")).rows
    gaps = [
        second[r.utterance_id]["js"] - first[r.utterance_id]["js"]
        for r in rows
        if first[r.utterance_id]["js"] is not None and second[r.utterance_id]["js"] is not None
    ]
    assert gaps == sorted(gaps, reverse=True)
    with pytest.raises(ConfigError, match="nothing stands beside"):
        runs_open.page(ViewSelection(side="difference"))


def test_all_of_an_utterance_is_found(run: Path) -> None:
    tables = RunTables.open(str(run), None)
    found = tables.look_up(HOSTILE_ID)
    assert found.shard == "shard-000003.parquet"
    assert [row["strategy"] for row in found.predictions] == STRATEGIES
    assert found.utterance is not None
    assert found.utterance.votes[1].labels == ("fear", "anger")
    (cell,) = found.cells
    kinds = {hypothesis.kind for hypothesis in cell.answer.hypotheses}
    assert kinds == {"greedy", "beam", "cot"}
    assert not tables.look_up("nobody").is_known
    (cell,) = tables.look_up("u2").cells
    assert [asked.question for asked in cell.answer.questions if asked.failed] == ["cot"]
    broken = tables.look_up("u8")
    assert (broken.predictions, broken.shard) == ((), "shard-000002.parquet")
    assert [row["stage"] for row in broken.errors] == ["decode"]


def test_a_reaggregation_has_the_answers_of_the_run_it_read(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(run / "predictions", other / "predictions")
    record = read_record(Location.parse(str(run)))
    source = MadeFrom(run=record.run, location=str(run), fingerprint=record.fingerprint)
    write_record(Location.parse(str(other)), record.changed(made_from=source))
    tables = RunTables.open(str(other), None)
    found, first = tables.look_up("u3"), RunTables.open(str(run), None).look_up("u3")
    assert (found.utterance, found.shard) == (first.utterance, first.shard)
    assert len(found.cells) == 1
    shutil.rmtree(run)
    alone = RunTables.open(str(other), None).look_up("u3")
    assert (alone.utterance, alone.cells, alone.shard) == (None, (), first.shard)


def test_a_place_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        RunTables.open(str(tmp_path), None)
