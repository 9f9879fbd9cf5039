"""Tables and views in SQL, against the same counted by hand."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from in_process import LABELS, InProcess, utterance

from raypipe.errors import ConfigError, StoreError
from raypipe.records import Utterance
from raypipe.store.location import Location
from raypipe.store.query import SOURCE, TABLES, connect, query, query_runs, table_dataset
from raypipe.store.views import VIEWS

VERSION_1 = Path(__file__).parents[1] / "data" / "version_1" / "run"
STRATEGIES = ["greedy", "w_bon"]


@pytest.fixture
def run(fake_engine: None, tmp_path: Path) -> InProcess:
    """A finished run of two prompts; one utterance has no answer, one no votes."""
    runs = InProcess(tmp_path / "run")
    bare = utterance("u5")
    without = Utterance("u5", "noise", "test", "s2", bare.audio, 16_000, 0.5)
    runs.write(*(utterance(f"u{number}") for number in range(5)), without)
    options = {"fail": ["greedy"], "fail_ids": ["u2"]}
    runs.finished(
        strategies=STRATEGIES,
        prompts=[{"name": "a"}, {"name": "b"}],
        model={"engine": "fake", "path": "none", "name": "fake", "options": options},
    )
    return runs


def rows_of(place: Location, sql: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = query(place, sql).to_pylist()
    return rows


def places(*runs: Path) -> dict[str, Location]:
    return {run.name: Location.parse(str(run)) for run in runs}


def by_name(rows: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return sorted(tuple(row[name] for name in names) for row in rows)


def test_tables_and_views_have_names_of_their_own(run: InProcess) -> None:
    assert not {*TABLES} & {*VIEWS}
    assert {row["name"] for row in rows_of(run.tables, "SHOW TABLES")} == {
        *("generations", "predictions", "errors"),
        *VIEWS,
    }


@pytest.mark.parametrize("version", [1, 2])
def test_distributions_have_a_row_per_label(run: InProcess, version: int) -> None:
    place = run.tables if version == 2 else Location.parse(str(VERSION_1))
    expected = [
        (row["utterance_id"], row["prompt"], row["strategy"], label, share, truth)
        for row in rows_of(place, "FROM predictions")
        for label, share, truth in zip(
            LABELS.names,
            row["probs"] or [None] * len(LABELS),
            row["soft_label"] or [None] * len(LABELS),
            strict=True,
        )
    ]
    names = ("utterance_id", "prompt", "strategy", "label", "share", "truth")
    rows = rows_of(place, "FROM distributions")
    assert by_name(rows, *names[:4]) == sorted(row[:4] for row in expected)
    assert {tuple(row[name] for name in names) for row in rows} == {*expected}
    assert any(row["truth"] is None for row in rows) == (version == 2)


@pytest.mark.parametrize("version", [1, 2])
def test_hypotheses_have_a_row_each_with_their_own_logits(run: InProcess, version: int) -> None:
    place = run.tables if version == 2 else Location.parse(str(VERSION_1))
    expected = []
    for row in rows_of(place, "FROM generations"):
        answers = row["hypotheses"] or []
        logits = row["emotion_logits"] or [answer.get("emotion_logits") for answer in answers]
        for answer, own in zip(answers, logits, strict=True):
            key = (row["utterance_id"], row["prompt"], answer["kind"], answer["rank"])
            expected.append((key, answer["text"], answer["alpha"], own))
    assert len({key for key, *_ in expected}) == len(expected) > 0
    rows = rows_of(place, "FROM hypotheses")
    found = [
        (
            (row["utterance_id"], row["prompt"], row["kind"], row["rank"]),
            *(row[name] for name in ("text", "alpha", "emotion_logits")),
        )
        for row in rows
    ]
    assert sorted(found, key=str) == sorted(expected, key=str)
    assert any(own is not None for *_, own in found)


def test_a_query_of_texts_reads_no_logits(run: InProcess) -> None:
    [(_, plan)] = connect(run.tables).sql("EXPLAIN SELECT text FROM hypotheses").fetchall()
    assert "hypotheses" in plan
    assert "emotion_logits" not in plan


def test_utterances_have_a_row_each(run: InProcess) -> None:
    rows = rows_of(run.tables, "FROM utterances ORDER BY utterance_id")
    assert [row["utterance_id"] for row in rows] == [f"u{number}" for number in range(6)]
    for row in rows[:5]:
        made = utterance(row["utterance_id"])
        assert row["labels"] == list(LABELS.names)
        assert (row["speaker"], row["plurality"]) == (made.speaker, made.plurality)
        assert row["soft_label"] == list(made.soft_label or ())
        assert [vote["labels"] for vote in row["votes"]] == [[*v.labels] for v in made.votes]
    assert (rows[5]["soft_label"], rows[5]["n_votes"]) == (None, 0)


def test_utterances_of_a_run_without_answers_are_those_of_its_predictions(run: InProcess) -> None:
    shutil.rmtree(run.folder / "out/generations")
    rows = rows_of(run.tables, "FROM utterances ORDER BY utterance_id")
    assert [row["utterance_id"] for row in rows] == ["u0", "u1", "u3", "u4", "u5"]
    assert "transcript" not in rows[0]
    assert rows[0]["speaker"] == "s0"


@pytest.mark.parametrize("version", [1, 2])
def test_confusion_shares_an_utterance_among_labels_that_tie(run: InProcess, version: int) -> None:
    place = run.tables if version == 2 else Location.parse(str(VERSION_1))
    expected: Counter[tuple[str, ...]] = Counter()
    for row in rows_of(place, "FROM predictions WHERE valid AND plurality IS NOT NULL"):
        probs = np.array(row["probs"])
        first = np.flatnonzero(probs == probs.max())
        for label, is_first in zip(LABELS.names, probs == probs.max(), strict=True):
            key = (row["prompt"], row["strategy"], row["plurality"], label)
            expected[key] += is_first / len(first)
    rows = rows_of(place, "FROM confusion")
    keys = ("prompt", "strategy", "truth", "predicted")
    found = {tuple(row[key] for key in keys): row["n"] for row in rows}
    assert found == pytest.approx(dict(expected))
    assert len(found) == len(rows)
    [counted] = rows_of(
        place, "SELECT count(*) AS n FROM predictions WHERE valid AND plurality IS NOT NULL"
    )
    assert sum(found.values()) == pytest.approx(counted["n"])


def test_several_runs_are_asked_together(run: InProcess, tmp_path: Path) -> None:
    """One of version 2, one of version 1 whose hypotheses hold more, one without answers."""
    new, partial = run.folder / "out", tmp_path / "it's"
    shutil.copytree(new / "predictions", partial / "predictions")
    runs = places(new, VERSION_1, partial)
    assert list(runs) == ["out", "run", "it's"]
    for table in ("generations", "predictions", *VIEWS):
        counted = query_runs(runs, f"SELECT {SOURCE}, count(*) AS n FROM {table} GROUP BY 1")
        expected = {
            name: rows_of(place, f"SELECT count(*) AS n FROM {table}")[0]["n"]
            for name, place in runs.items()
            if name != "it's" or table not in ("generations", "hypotheses")
        }
        assert {row[SOURCE]: row["n"] for row in counted.to_pylist()} == expected
    both = query_runs(runs, "SELECT DISTINCT source, label FROM distributions").to_pylist()
    assert len(both) == 3 * len(LABELS)
    logits = query_runs(
        runs, "SELECT source, count(emotion_logits) AS n FROM hypotheses GROUP BY 1"
    )
    assert all(row["n"] > 0 for row in logits.to_pylist())


def test_what_cannot_be_asked_is_refused(run: InProcess, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="none of the tables"):
        query_runs(places(run.folder / "out", tmp_path / "nothing"), "FROM predictions")
    with pytest.raises(ConfigError, match="empty"):
        query(run.tables, "")


def test_storage_that_does_not_answer_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent:
        def get_file_info(self, path: str) -> None:
            raise OSError("When getting information:\n curlCode: 7, could not connect")

    monkeypatch.setattr(Location, "filesystem", lambda place: (Silent(), "bucket"))
    with pytest.raises(StoreError) as told:
        table_dataset(Location.parse(str(tmp_path)), "predictions")
    assert "cannot be read: When getting information: curlCode: 7" in str(told.value)
    assert "\n" not in str(told.value)
