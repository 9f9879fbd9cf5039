"""The request: items as lines of JSON, and an example that obeys the weights it states."""

from __future__ import annotations

import json
import math
import re

import pytest
from relabel_items import LABELS, item, items_in

from raypipe.labels import LABEL_SETS, LabelSet
from raypipe.prompts import template_source
from raypipe.relabel.prompt import prompt_hash, relabel_prompt
from raypipe.relabel.replies import ItemAnswer, read_reply
from raypipe.relabel.settings import RelabelSettings

SOURCE = template_source("relabel")
NOT_HEARD = RelabelSettings(reference=False, reasons=False)


def test_every_item_is_a_line_of_json() -> None:
    items = {1: item("a", "calm", 'sagt: "wütend"', anger=1 / 3, neutral=2 / 3), 2: item("b", "x")}
    shown = items_in(relabel_prompt(SOURCE, items, LABELS, RelabelSettings()))
    assert shown[1]["descriptions"] == ["calm", 'sagt: "wütend"']
    reference = {label: 0.0 for label in LABELS.names} | {"anger": 0.3333, "neutral": 0.6667}
    assert shown[1]["reference"] == reference
    assert list(shown[1]["reference"]) == list(LABELS.names)  # type: ignore[call-overload]
    assert list(shown) == [1, 2]


def test_reference_and_reasons_can_be_left_out() -> None:
    told = relabel_prompt(SOURCE, {1: item()}, LABELS, NOT_HEARD)
    assert "eference" not in told
    assert "eason" not in told
    assert "%" not in told
    asked = relabel_prompt(SOURCE, {1: item()}, LABELS, RelabelSettings())
    assert "25 %" in asked
    assert "75 %" in asked


@pytest.mark.parametrize("labels", LABEL_SETS.values(), ids=LABEL_SETS)
@pytest.mark.parametrize("weight", [0.25, 0.4])
@pytest.mark.parametrize("reference", [True, False])
def test_the_example_obeys_its_weights(labels: LabelSet, weight: float, reference: bool) -> None:
    """Two descriptions stand for the first two labels: worked out again from the shown item."""
    settings = RelabelSettings(description_weight=weight, reference=reference)
    told = relabel_prompt(SOURCE, {}, labels, settings)
    shown = json.loads(re.findall(r'^  (\{"index": 1.*)$', told, re.MULTILINE)[0])
    [answer] = json.loads(re.findall(r"^  (\[.*\])$", told, re.MULTILINE)[0])
    first, second = labels.names[:2]
    for label in labels.names:
        meaning = 0.5 if label in (first, second) else 0.0
        mixed = meaning
        if reference:
            mixed = weight * meaning + (1 - weight) * shown["reference"][label]
        assert answer["distribution"][label] == pytest.approx(mixed, abs=1e-4)
    assert answer["words"] == shown["descriptions"]
    assert all(words in answer["reason"] for words in answer["words"])
    assert 15 <= len(answer["reason"].split()) <= 20
    # The answer that is shown is one that would be taken.
    example = item("e", *shown["descriptions"])
    read = read_reply(json.dumps([answer]), {1: example}, labels, settings)[1]
    assert isinstance(read, ItemAnswer)
    assert math.fsum(read.probs) == pytest.approx(1)


def test_a_request_that_is_made_again_says_what_was_wrong() -> None:
    settings = RelabelSettings()
    first = relabel_prompt(SOURCE, {1: item()}, LABELS, settings)
    second = relabel_prompt(
        SOURCE, {1: item()}, LABELS, settings, attempt=2, faults={1: "the numbers sum to 0.6"}
    )
    third = relabel_prompt(
        SOURCE, {1: item()}, LABELS, settings, attempt=3, faults={1: "the numbers sum to 0.6"}
    )
    assert "item 1: the numbers sum to 0.6" in second
    assert "asked before" not in first
    # No two are the same text, which a cache would answer alike.
    assert len({first, second, third}) == 3


def test_the_hash_changes_with_all_but_the_items() -> None:
    settings = RelabelSettings()
    hashes = {
        prompt_hash(SOURCE, LABELS, settings),
        prompt_hash(SOURCE + "x", LABELS, settings),
        prompt_hash(SOURCE, LABEL_SETS["msp-podcast-8"], settings),
        prompt_hash(SOURCE, LABELS, RelabelSettings(description_weight=0.3)),
        prompt_hash(SOURCE, LABELS, NOT_HEARD),
    }
    assert len(hashes) == 5
