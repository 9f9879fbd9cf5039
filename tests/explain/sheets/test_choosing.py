"""Items are half right and half wrong, balanced as far as there are enough, by seed."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from made_up_answers import EMOTIONS, answers, gold

from raypipe.errors import ConfigError
from raypipe.explain.sheets.choosing import choose_test_i, choose_test_ii


def test_half_of_test_i_is_right_and_every_emotion_comes_equally_often() -> None:
    rows = answers(240)
    chosen = choose_test_i(rows, item_count=48)
    assert chosen.notes == ()
    counts = Counter((item.is_match, item.label) for item in chosen.items)
    assert counts == {(match, label): 4 for match in (True, False) for label in EMOTIONS}
    shuffled = random.Random(1).sample(rows, len(rows))
    assert choose_test_i(shuffled, item_count=48) == chosen, "the order of the answers"
    assert choose_test_i(rows, item_count=48, seed=1) != chosen
    sixteen = Counter(item.label for item in choose_test_i(rows).items if item.is_match)
    assert sorted(sixteen.values()) == [2, 2, 3, 3, 3, 3]


def test_where_there_are_not_enough_it_is_said_and_others_take_their_place() -> None:
    rows = [row for row in answers(240) if row.label != "fear" or row.reference == "happiness"]
    rows += [replace(row, label="fear", reference="fear") for row in answers(1)]
    kept = {row.utterance_id: row for row in rows}.values()
    chosen = choose_test_i(kept)
    matches = Counter(item.label for item in chosen.items if item.is_match)
    assert (matches["fear"], matches.total()) == (1, 16)
    assert chosen.notes == ("Test I, match: fewer than 2 items predicted as fear 1",)
    few = choose_test_i(answers(12))
    assert len(few.items) == 12
    assert few.notes[0] == "Test I, match: there are 6 items for 16"


def test_answers_that_cannot_be_shown_are_no_candidates() -> None:
    good = answers(40)
    bad = [
        replace(row, **{"utterance_id": f"bad{at}", **changes})
        for at, changes in enumerate(
            ({"reason": None}, {"label": None}, {"reference": None}, {"label": "other"})
        )
        for row in good[:1]
    ]
    chosen = choose_test_i([*good, *bad], item_count=40)
    assert {item.utterance_id for item in chosen.items} == {row.utterance_id for row in good}
    with pytest.raises(ConfigError, match="there is no Test I"):
        choose_test_i(bad)
    with pytest.raises(ConfigError, match="31 is not even"):
        choose_test_i(good, item_count=31)


def test_test_ii_takes_disagreements_and_avoids_test_i_where_it_can() -> None:
    rows = answers(150)
    first = {item.utterance_id for item in choose_test_i(rows).items}
    chosen = choose_test_ii(rows, gold(rows), avoid=first)
    assert len(chosen.items) == 32
    assert not any(item.is_match for item in chosen.items)
    assert not first & {item.utterance_id for item in chosen.items}
    assert all(item.gold_reason != item.reason for item in chosen.items)
    assert max(Counter(item.label for item in chosen.items).values()) == 6
    assert chosen.notes == ()


def test_test_ii_says_what_it_could_not_avoid_or_use() -> None:
    rows = answers(80)
    rationales = gold(rows)
    wrong = next(row for row in rows if row.label != row.reference)
    rationales[wrong.utterance_id] = replace(rationales[wrong.utterance_id], label="neutral")
    first = {item.utterance_id for item in choose_test_i(rows).items}
    chosen = choose_test_ii(rows, rationales, avoid=first)
    again = len(first & {item.utterance_id for item in chosen.items})
    assert again == 32 - (40 - 16 - (wrong.utterance_id not in first))
    assert chosen.notes == (
        "Test II: 1 rationales are of another label than the reference",
        f"Test II: {again} of 32 utterances are in Test I, too",
    )
    with pytest.raises(ConfigError, match="there is no Test II"):
        choose_test_ii(rows, {})
