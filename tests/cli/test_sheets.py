"""``raypipe sheets`` from files to rates, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from in_process import clip, utterance
from judged_answers import two_systems, write_answers
from typer.testing import CliRunner, Result

from raypipe.cli import app
from raypipe.explain.sheets.key import StudyKey, key_from_json
from raypipe.labels import LABEL_SETS
from raypipe.shards import write_shards
from raypipe.store.location import Location


def sheets(*words: object) -> Result:
    return CliRunner().invoke(app, ["sheets", *map(str, words)], env={"COLUMNS": "160"})


@pytest.fixture
def made_from(tmp_path: Path) -> list[object]:
    """Answers about eight utterances, half of them wrong, and their shards, as arguments."""
    answers, _ = two_systems(8)
    answers = [
        dataclasses.replace(row, reference="surprise" if at % 2 else row.reference)
        for at, row in enumerate(answers)
    ]
    heard = [dataclasses.replace(utterance(f"u{at}"), audio=clip(0.05, at)) for at in range(8)]
    write_shards(heard, Location.parse(str(tmp_path / "s")), LABEL_SETS["crema-d-6"], source="t")
    file = write_answers(tmp_path / "answers.jsonl", answers)
    return [file, "--shards", tmp_path / "s", "--items", 8, "--raters", 3]


def filled_in(folder: Path, key: StudyKey, rater: int, accepted: set[bool]) -> Path:
    """A file of answers that accepts right predictions, wrong ones, both or none."""
    document = {
        "format": "raypipe-sheet-answers",
        "version": 1,
        "study": key.study,
        "rater": rater,
        "answers": {
            item.item: "accept" if item.is_match in accepted else "reject" for item in key.items
        },
    }
    path = folder / f"{rater}.json"
    path.write_text(json.dumps(document))
    return path


def test_sheets_are_made_and_collected(made_from: list[object], tmp_path: Path) -> None:
    for name in ("one", "two"):
        shown = sheets("make", *made_from, "--output", tmp_path / name)
        assert shown.exit_code == 0, f"{shown.output}\n{shown.exception!r}"
        assert "8 items of Test I, 0 of Test II" in shown.output
    one, two = tmp_path / "one", tmp_path / "two"
    names = sorted(path.relative_to(one) for path in one.rglob("*.*"))
    assert list(map(str, names)) == [
        "key.json",
        "sheets/rater-01.html",
        "sheets/rater-02.html",
        "sheets/rater-03.html",
    ]
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in names)
    assert "Part 2" not in (one / "sheets/rater-01.html").read_text().partition("<script")[0]

    key = key_from_json((one / "key.json").read_text(), "key.json")
    files = [
        filled_in(tmp_path, key, 1, {True, False}),
        filled_in(tmp_path, key, 2, {True}),
        filled_in(tmp_path, key, 3, {True}),
    ]
    shown = sheets("collect", *files, "--key", one / "key.json")
    assert shown.exit_code == 0, f"{shown.output}\n{shown.exception!r}"
    lines = {
        line.split("│")[3].strip(): line for line in shown.output.splitlines() if "accepted" in line
    }
    assert lines.keys() == {"overall (8)", "match (4)", "non-match (4)"}
    assert "66.7" in lines["overall (8)"]
    assert "100.0 │ [100.0, 100.0]" in lines["match (4)"].replace("\xa0", " ")
    assert "33.3" in lines["non-match (4)"]
    assert "two-way bootstrap" in shown.output


def test_what_was_sent_out_is_not_written_over(made_from: list[object], tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    for output, words in (("full", "is not empty"), ("answers.jsonl", "is no folder")):
        refused = sheets("make", *made_from, "--output", tmp_path / output)
        assert refused.exit_code == 1
        assert words in str(refused.exception)


def test_a_missing_key_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    refused = sheets("collect", tmp_path / "a.json", "--key", tmp_path / "key.json")
    assert refused.exit_code == 1
    assert "key.json: cannot be read" in str(refused.exception)
