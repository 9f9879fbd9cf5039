"""Files of answers: what is wrong with them is named, all of it at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_up_answers import answers, gold

from raypipe.errors import ConfigError
from raypipe.explain.sheets.choosing import choose_test_i, choose_test_ii
from raypipe.explain.sheets.collecting import judgements_table, read_judgements
from raypipe.explain.sheets.sheet import study_key

ROWS = answers(60)
KEY = study_key(
    choose_test_i(ROWS, item_count=4).items,
    choose_test_ii(ROWS, gold(ROWS), item_count=3).items,
    system="x",
    raters=3,
)


def answered(folder: Path, rater: int, name: str = "", **changes: object) -> Path:
    """A file in which everything is accepted, and A preferred."""
    document = {
        "format": "raypipe-sheet-answers",
        "version": 1,
        "study": KEY.study,
        "rater": rater,
        "answers": {item.item: "accept" if item.test == "I" else "A" for item in KEY.items},
    }
    path = folder / (name or f"{rater}.json")
    path.write_text(json.dumps({**document, **changes}))
    return path


def test_answers_are_read_by_the_key(tmp_path: Path) -> None:
    collected = read_judgements([answered(tmp_path, 3), answered(tmp_path, 1)], KEY)
    assert collected.absent == (2,)
    assert collected.open_items == {}
    assert [row.rater for row in collected.judgements] == [1] * 7 + [3] * 7
    for row in collected.judgements:
        right = row.item.test == "I" or KEY.predicted_sides[row.rater][row.item.item] == "A"
        assert row.value is right
    table = judgements_table(collected.judgements, KEY.study).to_pylist()
    assert [row["accepted"] for row in table[:7]] == [True] * 4 + [None] * 3
    assert [row["predicted_preferred"] is None for row in table[:7]] == [True] * 4 + [False] * 3


def test_every_fault_of_every_file_is_named(tmp_path: Path) -> None:
    few = {item.item: "reject" for item in KEY.items if item.test == "I"}
    first = answered(tmp_path, 1)
    paths = [
        first,
        answered(tmp_path, 1, "again.json"),
        answered(tmp_path, 1, "other.json", answers=few),
        answered(tmp_path, 2, answers=few),
        answered(tmp_path, 3, study="abc"),
        answered(tmp_path, 4),
        answered(tmp_path, 3, "unknown.json", answers={"I-99": "accept"}),
        answered(tmp_path, 3, "swapped.json", answers={"I-01": "A"}),
        answered(tmp_path, 3, "word.json", answers={"I-01": "yes"}),
        tmp_path / "missing.json",
    ]
    with pytest.raises(ConfigError) as error:
        read_judgements(paths, KEY)
    said = {line.replace(f"{tmp_path}/", "") for line in str(error.value).splitlines()}
    assert {line for line in said if not line.startswith("word")} == {
        "again.json: rater 1 has the same answers in 1.json; give one",
        "other.json: rater 1 has other answers in 1.json; give one",
        "2.json: rater 2 has no answer for II-01, II-02, II-03",
        f"3.json: is of study abc, the key is of {KEY.study}",
        "4.json: is of rater 4, the study has raters 1 to 3",
        "unknown.json: has items that are not of the study: I-99",
        "swapped.json: has answers of the other test: I-01",
        "missing.json: cannot be read: No such file or directory",
    }
    [word] = [line for line in said if line.startswith("word")]
    assert word.startswith("word.json: is no file of a sheet's answers: answers.I-01")
    with pytest.raises(ConfigError, match="no file of answers"):
        read_judgements([], KEY)


def test_open_items_may_be_allowed(tmp_path: Path) -> None:
    few = {item.item: "reject" for item in KEY.items if item.test == "I"}
    paths = [answered(tmp_path, 2, answers=few), answered(tmp_path, 1)]
    collected = read_judgements(paths, KEY, allow_open=True)
    assert collected.open_items == {2: ("II-01", "II-02", "II-03")}
    assert len(collected.judgements) == 7 + 4
