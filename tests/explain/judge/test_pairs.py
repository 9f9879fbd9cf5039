"""Pairs are of utterances for which both predict the same label and say why."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

from judged_answers import LABELS, two_systems

from raypipe.explain.judge.pairs import choose_pairs


def test_pairs_share_their_label_and_there_are_n_of_each() -> None:
    first, second = two_systems(600)
    chosen = choose_pairs(first, second, per_emotion=20)
    assert Counter(pair.label for pair in chosen.pairs) == dict.fromkeys(LABELS, 20)
    assert chosen.common == 600
    # Every tenth is answered otherwise, which is every fifth with an odd number.
    assert chosen.available == {
        label: 100 if number % 2 == 0 else 80 for number, label in enumerate(LABELS)
    }
    labels = {answer.utterance_id: answer.label for answer in second}
    assert all(labels[pair.utterance_id] == pair.label for pair in chosen.pairs)
    sides = Counter(pair.first_is_a for pair in chosen.pairs)
    assert 40 <= sides[True] <= 80


def test_the_seed_alone_decides() -> None:
    first, second = two_systems(300)
    chosen = choose_pairs(first, second, per_emotion=10)
    shuffled = random.Random(0)
    assert chosen == choose_pairs(
        shuffled.sample(first, 300), shuffled.sample(second, 300), per_emotion=10
    )
    assert chosen != choose_pairs(first, second, per_emotion=10, seed=1)


def test_what_cannot_be_compared_is_left_out() -> None:
    first, second = two_systems(8)
    first[0] = replace(first[0], reason=None)
    second[1] = replace(second[1], reason=None)
    first[2], second[2] = replace(first[2], label=None), replace(second[2], label=None)
    first[3], second[3] = replace(first[3], label="other"), replace(second[3], label="other")
    first[5] = replace(first[5], speaker=None, reason="two\n\nlines ")
    chosen = choose_pairs(first[:7], second, per_emotion=5)
    assert {pair.utterance_id for pair in chosen.pairs} == {"u4", "u5", "u6"}
    [pair] = [pair for pair in chosen.pairs if pair.utterance_id == "u5"]
    assert (pair.first, pair.speaker) == ("two lines", "s1")
    assert chosen.common == 7
