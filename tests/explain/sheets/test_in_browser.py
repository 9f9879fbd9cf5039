"""A rater's sheet in a browser: heard, answered, reloaded, handed out, collected."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from chromium import Chromium, chromium
from in_process import clip, utterance
from made_up_answers import answers, gold
from typer.testing import CliRunner

from raypipe.cli import app
from raypipe.explain.sheets.key import StudyKey, key_from_json
from raypipe.labels import LABEL_SETS
from raypipe.shards import write_shards
from raypipe.store.location import Location

ITEMS, RATER = 32, 3


def invoke(*words: object) -> str:
    shown = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})
    assert shown.exit_code == 0, f"{shown.output}\n{shown.exception!r}"
    return shown.output


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sheets of both tests, made by the command from files."""
    folder = tmp_path_factory.mktemp("study")
    rows = answers(150)
    heard = [
        dataclasses.replace(utterance("u1"), utterance_id=row.utterance_id, audio=clip(0.2, at))
        for at, row in enumerate(rows)
    ]
    write_shards(heard, Location.parse(str(folder / "shards")), LABEL_SETS["crema-d-6"], source="t")
    lines = [json.dumps(dataclasses.asdict(row)) for row in rows]
    (folder / "answers.jsonl").write_text("\n".join(lines))
    rationales = [
        json.dumps({"utterance_id": row.utterance_id, "label": row.label, "rationale": row.text})
        for row in gold(rows).values()
    ]
    (folder / "gold.jsonl").write_text("\n".join(rationales))
    words = ("--shards", folder / "shards", "--gold", folder / "gold.jsonl", "--system", "tuned")
    shown = invoke("sheets", "make", folder / "answers.jsonl", *words, "--output", folder / "study")
    assert "32 items of Test I, 32 of Test II" in shown
    return folder / "study"


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chromium]:
    with chromium(tmp_path) as running:
        yield running


def listen(browser: Chromium) -> None:
    """Play the clip of the item that is shown, until answers are allowed."""
    assert browser.evaluate("document.getElementById('choices').disabled") is True
    browser.press("1")  # of no effect yet
    assert browser.evaluate("document.querySelector(':checked')") is None
    browser.press(" ")
    browser.wait("!document.getElementById('choices').disabled")


def the_answer(browser: Chromium, key: StudyKey) -> tuple[str, int]:
    """The item that is shown, as the key knows it, and an answer that this rater gives.

    Test I: accepts angry and sad ones. Test II: prefers the model's own reason of anger alone.
    """
    item = browser.evaluate("items[state.at].id")
    known = next(row for row in key.items if row.item == item)
    if known.test == "I":
        assert browser.text("#label") == {"anger": "Angry", "sadness": "Sad"}.get(
            known.label, known.label.capitalize() if known.label != "happiness" else "Happy"
        )
        return item, 0 if known.label in ("anger", "sadness") else 1
    texts = [browser.text("#first-text"), browser.text("#second-text")]
    predicted = next(at for at, text in enumerate(texts) if text.startswith("The voice"))
    assert "AB"[predicted] == key.predicted_sides[RATER][item]
    return item, predicted if known.label == "anger" else 1 - predicted


def test_a_rater_fills_in_a_sheet_and_the_researcher_collects_it(
    study: Path, browser: Chromium
) -> None:
    key = key_from_json((study / "key.json").read_text(), "key.json")
    browser.open(study / "sheets" / f"rater-{RATER:02d}.html")
    assert browser.text("#count") == "0 of 64 answered"
    browser.click("#begin")
    seen: list[str] = []
    for at in range(2 * ITEMS):
        if at == 20:  # the page is closed and opened again, in the middle of an answer
            listen(browser)
            browser.reload()
            assert browser.text("#count") == "20 of 64 answered"
            assert browser.text("#part") == "Part 1, recording 21 of 32"
            assert browser.evaluate("document.getElementById('choices').disabled") is False
        else:
            listen(browser)
        item, choice = the_answer(browser, key)
        seen.append(item)
        if at == 5:  # changed one's mind
            browser.press(str(2 - choice))
        if at % 2:
            browser.click(("#first", "#second")[choice])
        else:
            browser.press(str(choice + 1))
        if at == 7:  # looks back, where the answer still stands
            browser.press("ArrowLeft")
            assert browser.evaluate("document.querySelector(':checked') !== null") is True
            browser.press("Enter")
        if at % 2 or at == 8:
            browser.click("#next")
        else:
            browser.press("Enter")
    assert sorted(seen) == sorted(item.item for item in key.items)
    assert [item.partition("-")[0] for item in seen] == ["I"] * ITEMS + ["II"] * ITEMS
    assert browser.text("#end-title") == "Thank you, that is all"
    browser.click("#download")
    file = browser.downloaded(f"answers-{key.study}-rater-{RATER:02d}.json")
    assert browser.complaints == []
    assert [url.partition(":")[0] for url in browser.requests] == ["file", "file"], "a reload"

    shown = invoke("sheets", "collect", file, "--key", study / "key.json", "--output", study / "c")
    assert "No file of raters 1, 2, 4, 5, 6, 7, 8, 9, 10 of 10" in shown
    rates = {
        (row["test"], row["group"]): row
        for row in pq.read_table(study / "c/rates.parquet").to_pylist()
    }
    for (test, group), row in rates.items():
        items = [
            item
            for item in key.items
            if item.test == test and (group == "overall" or item.is_match is (group == "match"))
        ]
        yes = ("anger", "sadness") if test == "I" else ("anger",)
        assert row["rate"] == pytest.approx(sum(item.label in yes for item in items) / len(items))
        assert row["judgements"] == len(items)
        assert row["low"] <= row["rate"] <= row["high"]


def test_what_is_left_open_is_named_and_can_be_gone_back_to(study: Path, browser: Chromium) -> None:
    browser.open(study / "sheets" / "rater-01.html")
    browser.click("#begin")
    listen(browser)
    browser.press("2")
    browser.evaluate("go(items.length)")
    assert browser.text("#end-title") == "Not all recordings are answered"
    assert browser.text("#open button") == "Part 1: 2"
    browser.click("#download")
    key = key_from_json((study / "key.json").read_text(), "key.json")
    file = browser.downloaded(f"answers-{key.study}-rater-01.json")
    assert list(json.loads(file.read_text())["answers"].values()) == ["reject"]
    browser.click("#open button")
    assert browser.text("#part") == "Part 1, recording 2 of 32"
