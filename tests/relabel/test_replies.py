"""Each item of an answer counts or does not by itself; what is understood is right."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from relabel_items import LABELS, REASON, item, said

from raypipe.relabel.replies import ItemAnswer, read_reply
from raypipe.relabel.settings import RelabelSettings

ITEMS = {1: item("a", "calm", "Slightly Angry"), 2: item("b", "triste"), 3: item("c", "hmm")}
SETTINGS = RelabelSettings()
GOOD = [
    said(1, ["calm", "Slightly Angry"], anger=0.25, neutral=0.75),
    said(2, ["triste"], sadness=0.3, neutral=0.7),
    said(3, ["hmm"], neutral=1.0),
]
PROBS = {
    1: (0.25, 0, 0, 0, 0.75, 0),
    2: (0, 0, 0, 0, 0.7, 0.3),
    3: (0, 0, 0, 0, 1.0, 0),
}


def read(text: str, settings: RelabelSettings = SETTINGS) -> dict[int, ItemAnswer | str]:
    return dict(read_reply(text, ITEMS, LABELS, settings))


def test_the_label_set_is_what_the_probs_above_are_aligned_with() -> None:
    assert LABELS.names == ("anger", "disgust", "fear", "happiness", "neutral", "sadness")


WRAPPED: dict[str, Callable[[list[Any]], str]] = {
    "plain": json.dumps,
    "indented": lambda answer: json.dumps(answer, indent=2),
    "fenced": lambda answer: f"Sure, here you are:\n```json\n{json.dumps(answer)}\n```\nAny more?",
    "thinking": lambda answer: f'<think>[{{"index": 1}}] no…</think>{json.dumps(answer)}',
    "in an object": lambda answer: json.dumps({"items": answer}),
    "one a line": lambda answer: "\n".join(json.dumps(part) for part in answer),
    "python": str,
    "trailing comma": lambda answer: json.dumps(answer)[:-1] + ",]",
    "numbers as text": lambda answer: json.dumps(
        [
            part | {"distribution": {k: str(v) for k, v in part["distribution"].items()}}
            for part in answer
        ]
    ),
    "by index": lambda answer: json.dumps({str(part["index"]): part for part in answer}),
    "adjectives": lambda answer: json.dumps(answer).replace('"anger"', '"Angry"'),
    "labels beside the reason": lambda answer: json.dumps(
        [
            {"index": part["index"], **part["distribution"], "reason": part["reason"]}
            for part in answer
        ]
    ),
    "shuffled": lambda answer: json.dumps(answer[::-1]),
    "without words": lambda answer: json.dumps([part | {"words": None} for part in answer]),
    "no words": lambda answer: json.dumps([part | {"words": []} for part in answer]),
    "words in another order": lambda answer: json.dumps(
        [part | {"words": part["words"][::-1]} for part in answer]
    ),
    "index with a point": lambda answer: json.dumps(
        [part | {"index": float(part["index"])} for part in answer]
    ),
    "an index beyond": lambda answer: json.dumps([*answer, said(9)]),
}


@pytest.mark.parametrize("form", WRAPPED)
def test_good_answers_are_read_in_whatever_they_are_wrapped(form: str) -> None:
    answers = read(WRAPPED[form](GOOD))
    for index, probs in PROBS.items():
        answer = answers[index]
        assert isinstance(answer, ItemAnswer), answer
        assert answer.probs == pytest.approx(probs)
        assert answer.reason == REASON


def changed(at: int, /, **fields: Any) -> str:
    return json.dumps([{**part, **fields} if part["index"] == at else part for part in GOOD])


def distribution(**shares: float) -> dict[str, float]:
    return {label: shares.get(label, 0.0) for label in LABELS.names}


FAULTS: dict[str, tuple[str, str]] = {
    "missing": (json.dumps([GOOD[0], GOOD[2]]), "no object with this index"),
    "another index": (changed(2, index=7), "no object with this index"),
    "five numbers": (
        changed(2, distribution={"anger": 0.5, "disgust": 0.5, "fear": 0, "happiness": 0, "x": 0}),
        "its emotions are anger, disgust, fear, happiness, x",
    ),
    "another label": (
        changed(2, distribution=distribution() | {"calm": 1.0}),
        "its emotions are anger",
    ),
    "two distributions": (
        changed(2, adjusted=distribution(anger=1.0)),
        "it has 2 distributions",
    ),
    "no names": (changed(2, distribution=[0.1, 0.2, 0.3, 0.2, 0.1, 0.1]), "the distribution is no"),
    "another order": (
        changed(2, distribution=dict(reversed(distribution(neutral=1.0).items()))),
        "its emotions stand in another order",
    ),
    "above one": (changed(2, distribution=distribution(anger=1.2)), "anger is no number from 0"),
    "below zero": (changed(2, distribution=distribution(anger=-0.1, fear=1.1)), "anger is no"),
    "not a number": (
        changed(2, distribution=distribution() | {"fear": "NaN"}),
        "fear is no number",
    ),
    "a word": (changed(2, distribution=distribution() | {"fear": "most"}), "fear is no number"),
    "true": (changed(2, distribution=distribution() | {"fear": True}), "fear is no number"),
    "null": (changed(2, distribution=distribution() | {"fear": None}), "fear is no number"),
    "percent": (changed(2, distribution=distribution() | {"fear": "100 %"}), "fear is no number"),
    "sum": (changed(2, distribution=distribution(neutral=0.6)), "the numbers sum to 0.6"),
    "sum above": (changed(2, distribution=distribution(neutral=0.6, fear=0.6)), "the numbers sum"),
    "no reason": (changed(2, reason=" "), "it gives no reason"),
    "reason null": (changed(2, reason=None), "it gives no reason"),
    "other words": (changed(2, words=["calm", "Slightly Angry"]), "its words are those of another"),
    "no text": ("", "no object with this index"),
    "an apology": ("I am sorry, but I cannot judge that.", "no object with this index"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_costs_its_item_and_no_other(name: str) -> None:
    text, why = FAULTS[name]
    answers = read(text)
    fault = answers[2]
    assert isinstance(fault, str)
    assert fault.startswith(why)
    if name not in ("no text", "an apology"):
        assert isinstance(answers[1], ItemAnswer)
        assert isinstance(answers[3], ItemAnswer)


def test_an_index_that_stands_there_twice_counts_for_neither() -> None:
    answers = read(changed(2, index=3))
    assert answers[2] == "no object with this index"
    assert answers[3] == "2 objects with this index"


def test_what_is_cut_costs_the_items_that_are_not_whole() -> None:
    text = json.dumps(GOOD)
    for end in range(text.index('"index": 2') + 12, text.index('"index": 3')):
        answers = read(text[:end])
        assert isinstance(answers[1], ItemAnswer)
        assert isinstance(answers[2], ItemAnswer) == (text[:end].count("}") >= 4)
        assert isinstance(answers[3], str)


def test_sums_within_the_tolerance_are_normalised() -> None:
    answer = read(changed(2, distribution=distribution(neutral=0.5, sadness=0.49)))[2]
    assert isinstance(answer, ItemAnswer)
    assert answer.probs == pytest.approx((0, 0, 0, 0, 50 / 99, 49 / 99))
    for share in (0.48, 0.52):  # 1 - .98 is .020000000000000018
        told = read(changed(2, distribution=distribution(neutral=0.5, sadness=share)))[2]
        assert isinstance(told, ItemAnswer)
    strict = RelabelSettings(sum_tolerance=0.001)
    told = read(changed(2, distribution=distribution(neutral=0.5, sadness=0.49)), strict)[2]
    assert told == "the numbers sum to 0.99"


def test_a_reason_counts_only_where_one_was_asked_for() -> None:
    answer = read(changed(2, reason=""), RelabelSettings(reasons=False))[2]
    assert isinstance(answer, ItemAnswer)
    assert answer.reason is None


@pytest.mark.parametrize("seed", range(400))
def test_no_damage_gives_another_distribution(seed: int) -> None:
    """Characters taken out or put in: an item is read as it was, or not at all."""
    dice = random.Random(seed)
    text = json.dumps(GOOD)
    at = dice.randrange(len(text))
    kind = dice.choice(["cut", "drop", "quote", "brace"])
    damaged = {
        "cut": text[:at],
        "drop": text[:at] + text[at + 1 :],
        "quote": text[:at] + '"' + text[at:],
        "brace": text[:at] + dice.choice("{}[]") + text[at:],
    }[kind]
    if kind == "drop" and text[at] in "0123456789.":
        return  # a number without one of its digits is another number
    for index, answer in read(damaged).items():
        if isinstance(answer, ItemAnswer):
            assert answer.probs == pytest.approx(PROBS[index]), (kind, at)


@pytest.mark.parametrize("unit", ["{", "[", '{"index": 1, ', '{"a": {"index": ', ",", '"', "1 "])
def test_time_is_linear_in_the_text(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    started = time.process_time()
    read(text)
    assert (
        time.process_time() - started < 5
    )  # a quarter of a second here; a square would be minutes
