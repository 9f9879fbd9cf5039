"""Sheets are blind: what a rater gets says nothing but what the rater is asked about."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from in_process import clip, utterance
from made_up_answers import answers, gold

from raypipe.errors import ConfigError
from raypipe.explain.sheets.choosing import ChosenItem, choose_test_i, choose_test_ii
from raypipe.explain.sheets.clips import clips_of
from raypipe.explain.sheets.key import StudyKey, key_from_json
from raypipe.explain.sheets.sheet import RaterSheet, rater_sheets, study_key
from raypipe.labels import LABEL_SETS
from raypipe.reporting.sheets.page import html_sheet
from raypipe.shards import write_shards
from raypipe.store.location import Location

HOSTILE = "</script><script>alert(1)</script>\x1b[31m\u202e"


def made(seed: int = 0, raters: int = 10) -> tuple[StudyKey, list[RaterSheet], list[ChosenItem]]:
    rows = answers(150)
    one = choose_test_i(rows, seed=seed).items
    two = choose_test_ii(rows, gold(rows), seed=seed).items
    key = study_key(one, two, system="tuned", raters=raters, seed=seed)
    clips = {row.utterance_id: row.utterance_id.encode() for row in rows}
    return key, list(rater_sheets(key, [*one, *two], clips)), [*one, *two]


def content_of(page: str) -> dict[str, object]:
    [text] = re.findall(r'<script type="application/json" id="content">(.*?)</script>', page)
    content: dict[str, object] = json.loads(text)
    return content


def test_a_page_holds_ids_clips_labels_and_reasons_and_nothing_else() -> None:
    key, sheets, _ = made()
    content = content_of(html_sheet(sheets[2]))
    assert content.keys() == {"format", "version", "study", "rater", "items"}
    items = content["items"]
    assert isinstance(items, list)
    assert {frozenset(item) for item in items} == {
        frozenset(("id", "test", "label", "reasons", "clip")),
        frozenset(("id", "test", "reasons", "clip")),
    }
    shown = re.sub(r'"clip": "[^"]*"|"reasons": \[.*?\]', "", html_sheet(sheets[2]))
    for secret in ("tuned", "match", "reference", "predicted", "gold", "speaker", "s0", "u0"):
        assert secret not in shown.partition("</script>")[0].partition("</style>\n</head>")[2]
    # Nothing in an id tells which half an item is of.
    number = {item.item: int(item.item.partition("-")[2]) for item in key.items}
    by_match = [number[item.item] for item in key.items if item.test == "I" and item.is_match]
    assert len(by_match) == 16
    assert set(by_match) & set(range(1, 17))
    assert set(by_match) & set(range(17, 33))


def test_orders_and_sides_are_every_rater_s_own_and_come_again_with_the_seed() -> None:
    key, sheets, chosen = made()
    assert made() == (key, sheets, chosen)
    assert made(seed=1)[0].study != key.study
    orders = {tuple(item.item for item in sheet.test_i) for sheet in sheets}
    assert len(orders) == 10
    sides = Counter(side for sides in key.predicted_sides.values() for side in sides.values())
    assert sides.keys() == {"A", "B"}
    assert abs(sides["A"] - 160) < 4 * np.sqrt(320) / 2
    of_item = {
        item: {key.predicted_sides[rater][item] for rater in range(1, 11)}
        for item in key.predicted_sides[1]
    }
    assert sum(len(found) == 2 for found in of_item.values()) >= 30
    for sheet in sheets:
        for shown in sheet.test_ii:
            model_s_own = shown.first if shown.first.startswith("The voice") else shown.second
            side = "A" if shown.first == model_s_own else "B"
            assert key.predicted_sides[sheet.rater][shown.item] == side


def test_a_key_survives_its_file_and_other_files_are_no_key() -> None:
    key, _, _ = made()
    assert key_from_json(key.model_dump_json(), "key.json") == key
    with pytest.raises(ConfigError, match=r"key.json is not a key of sheets: study Field required"):
        key_from_json('{"format": "raypipe-sheets-key"}', "key.json")
    with pytest.raises(ConfigError, match="a study needs raters"):
        study_key([], [], system="x", raters=0)


def test_nothing_that_a_model_wrote_runs_in_the_page() -> None:
    _, sheets, _ = made()
    first = replace(sheets[0].test_i[0], reason=HOSTILE, label=HOSTILE)
    page = html_sheet(replace(sheets[0], test_i=(first, *sheets[0].test_i[1:])))
    assert page.count("<script") == 2
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "script-src &#39;sha256-" in page
    items = content_of(page)["items"]
    assert isinstance(items, list)
    assert items[0]["reasons"] == ["</script><script>alert(1)</script>"]


def test_clips_lose_their_tags_and_nothing_else(tmp_path: Path) -> None:
    sink = io.BytesIO()
    samples = np.random.default_rng(0).integers(-3000, 3000, 800).astype(np.int16)
    with soundfile.SoundFile(sink, "w", 22_050, 1, format="FLAC", subtype="PCM_16") as file:
        file.title = "very angry"
        file.write(samples)
    assert b"very angry" in sink.getvalue()
    rows = [
        replace(utterance("u1"), audio=sink.getvalue()),
        replace(utterance("u2"), audio=clip(0.1)),
    ]
    shards = Location.parse(str(tmp_path))
    write_shards(rows, shards, LABEL_SETS["crema-d-6"], source="t", rows_per_shard=1)
    clips = clips_of(shards, ["u1"])
    assert clips.keys() == {"u1"}
    assert b"angry" not in clips["u1"]
    read, rate = soundfile.read(io.BytesIO(clips["u1"]), dtype="int16")
    assert rate == 22_050
    assert np.abs(read.astype(int) - samples).max() <= 1
    with pytest.raises(ConfigError, match="lacks 1 of 2 utterances: u7"):
        clips_of(shards, ["u1", "u7"])


def test_a_note_stands_at_the_head_of_the_page_as_text() -> None:
    _, sheets, _ = made(raters=1)
    assert 'class="note"' not in html_sheet(sheets[0])
    page = html_sheet(sheets[0], "Practice <b>only</b>:\nreasons of a stand-in")
    assert '<p class="note">Practice &lt;b&gt;only&lt;/b&gt;: reasons of a stand-in</p>' in page
