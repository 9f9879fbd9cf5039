"""Rows of a relabelled corpus, and the files they become."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from relabel_items import LABELS, REASON, item

from raypipe.errors import ConfigError, CorpusError
from raypipe.labels import LABEL_SETS, LabelSet
from raypipe.relabel.item import Described
from raypipe.relabel.label_table import label_csv, read_label_table
from raypipe.relabel.replies import ItemAnswer
from raypipe.relabel.rounds import Outcome
from raypipe.relabel.table import labels_table, total_variation
from raypipe.store.parquet import to_parquet_bytes

THIRD = 1 / 3
ADJUSTED = (0.25, 0.0, 0.0, 0.0, 0.75, 0.0)
OUTCOMES = (
    Outcome(item("changed", "slightly angry, calm", neutral=1.0), ItemAnswer(ADJUSTED, REASON), 1),
    Outcome(
        item("rounded", "calm", anger=THIRD, fear=THIRD, neutral=THIRD),
        ItemAnswer((0.333, 0, 0.333, 0, 0.334, 0), "it says nothing"),
        2,
        ("the numbers sum to 0.6",),
    ),
    Outcome(item("left", "hmm", fear=0.5, sadness=0.5), None, 3, ("a", "b", "c")),
    Outcome(type(item())("silent", (0, 0, 0, 1.0, 0, 0), (), split="test", n_votes=5)),
    Outcome(item("far", "furious", neutral=1.0), ItemAnswer((0.3, 0, 0, 0, 0.7, 0), REASON), 1),
)


def table(**settings: Any) -> pa.Table:
    return labels_table(
        OUTCOMES,
        run="r",
        model="m",
        prompt="relabel",
        prompt_hash="h",
        labels=LABELS,
        flag_shift=0.25,
        **settings,
    )


def by_id(**settings: Any) -> dict[str, dict[str, Any]]:
    return {row["utterance_id"]: row for row in table(**settings).to_pylist()}


def test_rows_say_what_became_of_the_reference() -> None:
    rows = by_id()
    assert {name: (row["status"], row["changed"]) for name, row in rows.items()} == {
        "changed": ("adjusted", True),
        "rounded": ("adjusted", False),
        "left": ("left", False),
        "silent": ("not_asked", None),
        "far": ("adjusted", True),
    }
    assert rows["changed"]["adjusted"] == list(ADJUSTED)
    # What is only rounded stays exactly what it was: 1/3 is not .333 where labels are thresholded.
    assert rows["rounded"]["adjusted"] == rows["rounded"]["reference"]
    assert rows["rounded"]["adjusted"][0] == THIRD
    assert rows["left"]["adjusted"] == rows["left"]["reference"]
    assert rows["left"]["faults"] == ["a", "b", "c"]
    assert rows["silent"]["prompt_hash"] is None
    assert (rows["changed"]["shift"], rows["left"]["shift"]) == (0.25, None)
    flags = {name: row["flagged"] for name, row in rows.items()}
    assert flags == {"changed": False, "rounded": False, "left": None, "silent": None, "far": True}
    assert rows["changed"]["reason_words"] == len(REASON.split())


def test_total_variation() -> None:
    assert total_variation((1, 0, 0), (0, 0, 1)) == 1
    assert total_variation((0.5, 0.5), (0.75, 0.25)) == 0.25


@pytest.mark.parametrize(
    ("form", "low", "high"), [("emo_superb", 0.01, 0.95), ("szegedy", 0.05 / 6, 0.95 + 0.05 / 6)]
)
def test_smoothing_is_laid_over_every_row(form: Any, low: float, high: float) -> None:
    rows = by_id(smoothing=0.05, smoothing_form=form)
    assert rows["silent"]["adjusted"] == pytest.approx([low, low, low, high, low, low])
    assert rows["silent"]["reference"] == [0, 0, 0, 1, 0, 0]
    assert sum(rows["changed"]["adjusted"]) == pytest.approx(1)


def test_the_parquet_file_is_labels(tmp_path: Path) -> None:
    place = tmp_path / "table.parquet"
    place.write_bytes(to_parquet_bytes(table(), {}))
    read = read_label_table(str(place), LABELS)
    assert read.name == "table"
    assert read.labels == LABELS
    assert read.distributions == {
        row["utterance_id"]: tuple(row["adjusted"]) for row in table().to_pylist()
    }
    with pytest.raises(ConfigError, match=r"is of anger, .* has anger, contempt"):
        read_label_table(str(place), LABEL_SETS["msp-podcast-8"])


def test_the_csv_file_is_emo_superbs_and_labels(tmp_path: Path) -> None:
    text = label_csv(table(), LABELS)
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == ["", "angry", "disgust", "fear", "happy", "neutral", "sad", "words", "reason"]
    assert rows[1][:2] == ["changed.wav", "0.25"]
    assert rows[1][7:] == ["slightly angry, calm", REASON]
    assert {len(row) for row in rows} == {9}
    place = tmp_path / "labels.csv"
    place.write_text(text)
    read = read_label_table(str(place), LABELS, name="mine")
    assert read.name == "mine"
    for row in table().to_pylist():
        np.testing.assert_allclose(read.distributions[row["utterance_id"]], row["adjusted"], 1e-8)


@pytest.mark.parametrize(
    "labels",
    [*LABEL_SETS.values(), LabelSet(("joy", "anger", "calm")), LabelSet(("happy", "excited"))],
)
def test_the_csv_of_any_label_set_can_be_read_back(labels: LabelSet, tmp_path: Path) -> None:
    shares = tuple(float(at == 0) for at in range(len(labels)))
    rows = labels_table(
        [Outcome(Described("u1", shares))],
        run="r",
        model="m",
        prompt="relabel",
        prompt_hash="h",
        labels=labels,
        flag_shift=0.25,
    )
    place = tmp_path / "labels.csv"
    place.write_text(label_csv(rows, labels))
    assert read_label_table(str(place), labels).distributions == {"u1": shares}


def test_a_csv_that_lacks_a_label_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "labels.csv"
    place.write_text(",angry,disgust,fear,happy,neutral\na.wav,1,0,0,0,0\n")
    with pytest.raises(CorpusError, match=r"labels\.csv has no column for sadness"):
        read_label_table(str(place), LABELS)


def test_tables_of_others_are_labels_or_told_what_is_wrong(tmp_path: Path) -> None:
    place = tmp_path / "t.parquet"

    def write(ids: list[Any], shares: list[Any], **columns: Any) -> str:
        pq.write_table(pa.table({"utterance_id": ids, "soft_label": shares, **columns}), place)
        return str(place)

    one = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    read = read_label_table(write(["a", "b"], [one, None]), LABELS)
    assert read.distributions == {"a": tuple(one)}
    for ids, shares, message in (
        (["a"], [[0.5, 0.2, 0, 0, 0, 0]], "row 0: soft_label .* sums to 0.7"),
        (["a"], [[0.5, 0.5]], "row 0: soft_label has 2 entries for 6 labels"),
        (["a", "a"], [one, one], "row 1: utterance_id 'a' is empty or stands there twice"),
        (["a"], [None], "holds no distribution"),
    ):
        with pytest.raises(ConfigError, match=message):
            read_label_table(write(ids, shares), LABELS)
    pq.write_table(pa.table({"id": ["a"]}), place)
    with pytest.raises(ConfigError, match="has no columns utterance_id and adjusted"):
        read_label_table(str(place), LABELS)
    place.write_bytes(b"PAR1")
    with pytest.raises(ConfigError, match=r"label table .*t\.parquet: "):
        read_label_table(str(place), LABELS)
    with pytest.raises(ConfigError, match=r"neither a \.parquet or \.csv file nor a"):
        read_label_table(str(tmp_path / "nothing"), LABELS)


def test_a_row_of_a_csv_that_is_wrong_is_named(tmp_path: Path) -> None:
    place = tmp_path / "labels.csv"
    place.write_text(",angry,disgust,fear,happy,neutral,sad\na.wav,0.9,0.9,0,0,0,0\n")
    with pytest.raises(ConfigError, match=r"labels\.csv line 2: the emotions sum to 1\.8"):
        read_label_table(str(place), LABELS)
    # Published rows that sum to less counted votes for a description, which have no column.
    place.write_text(",angry,disgust,fear,happy,neutral,sad\na.wav,0.35,0,0,0,0.35,0\n")
    assert read_label_table(str(place), LABELS).distributions == {"a": (0.5, 0, 0, 0, 0.5, 0)}


def test_the_reference_is_json_for_the_model() -> None:
    assert json.dumps(table().to_pylist()[0]["reference"])
