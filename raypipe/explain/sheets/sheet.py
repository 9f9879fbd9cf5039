"""What every rater is shown: items under ids that say nothing, in an order of the rater's own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np

from raypipe.errors import ConfigError
from raypipe.explain.sheets.choosing import ChosenItem
from raypipe.explain.sheets.key import KeyItem, Side, StudyKey, Test
from raypipe.prompts.options import option_text

RATERS = 10
"""Raters of each test in the paper."""

_IDS, _ORDER, _SIDES = 3, 4, 5


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """An item of Test I as a rater sees it.

    Attributes:
        item: its id.
        clip: FLAC file.
        label: that the model predicted, as a word such as ``Angry``.
        reason: of the model.
    """

    item: str
    clip: bytes
    label: str
    reason: str


@dataclass(frozen=True, slots=True)
class ShownReasons:
    """An item of Test II as a rater sees it.

    Attributes:
        item: its id.
        clip: FLAC file.
        first: reason under A.
        second: reason under B.
    """

    item: str
    clip: bytes
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class RaterSheet:
    """All that one rater is shown, in order.

    Attributes:
        study: id of the study.
        rater: counted from 1.
    """

    study: str
    rater: int
    test_i: tuple[ShownAnswer, ...]
    test_ii: tuple[ShownReasons, ...]


def study_key(
    test_i: Sequence[ChosenItem],
    test_ii: Sequence[ChosenItem],
    *,
    system: str,
    raters: int = RATERS,
    seed: int = 0,
) -> StudyKey:
    """The key of a study: ids of its items, and sides of Test II for every rater.

    Args:
        test_i: items of Test I.
        test_ii: items of Test II; none for a study without it.
        system: name of the model that was asked about.
        raters: number of sheets.
        seed: of ids, orders and sides.
    """
    if raters < 1:
        raise ConfigError(f"a study needs raters, got {raters}")
    items = (*_named(test_i, "I", seed), *_named(test_ii, "II", seed))
    sides = {
        rater: _sides([item.item for item in items if item.test == "II"], seed, rater)
        for rater in range(1, raters + 1)
    }
    shown = [astuple(item) for item in (*test_i, *test_ii)]
    document = json.dumps([system, seed, raters, shown, len(test_i)])
    return StudyKey(
        study=hashlib.sha256(document.encode()).hexdigest()[:12],
        system=system,
        seed=seed,
        raters=raters,
        items=items,
        predicted_sides=sides,
    )


def rater_sheets(
    key: StudyKey, chosen: Iterable[ChosenItem], clips: Mapping[str, bytes]
) -> Iterator[RaterSheet]:
    """The sheet of every rater.

    Args:
        key: of the study.
        chosen: the items that the key was made of.
        clips: FLAC files by utterance.
    """
    texts = {(item.utterance_id, item.gold_reason is not None): item for item in chosen}
    for rater, sides in key.predicted_sides.items():
        rng = np.random.default_rng((key.seed, _ORDER, rater))
        first: list[ShownAnswer] = []
        second: list[ShownReasons] = []
        for place in rng.permutation(len(key.items)):
            item = key.items[place]
            text = texts[item.utterance_id, item.test == "II"]
            clip = clips[item.utterance_id]
            if text.gold_reason is None:
                first.append(ShownAnswer(item.item, clip, option_text(item.label), text.reason))
            else:
                reasons = (text.reason, text.gold_reason)
                ordered = reasons if sides[item.item] == "A" else reasons[::-1]
                second.append(ShownReasons(item.item, clip, *ordered))
        yield RaterSheet(key.study, rater, tuple(first), tuple(second))


def _named(chosen: Sequence[ChosenItem], test: Test, seed: int) -> list[KeyItem]:
    """Items under numbers that were drawn, in the order of the numbers."""
    rng = np.random.default_rng((seed, _IDS, len(test)))
    return [
        KeyItem(
            item=f"{test}-{number:02d}",
            test=test,
            utterance_id=chosen[place].utterance_id,
            speaker=chosen[place].speaker,
            label=chosen[place].label,
            reference=chosen[place].reference,
        )
        for number, place in enumerate(rng.permutation(len(chosen)), start=1)
    ]


def _sides(items: Sequence[str], seed: int, rater: int) -> dict[str, Side]:
    draws = np.random.default_rng((seed, _SIDES, rater)).integers(2, size=len(items))
    return {item: "A" if draw else "B" for item, draw in zip(items, draws, strict=True)}
