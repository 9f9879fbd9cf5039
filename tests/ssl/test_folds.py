"""Folds keep speakers apart and cover every clip once; official splits go by their names."""

from __future__ import annotations

import numpy as np
import pytest

from raypipe.errors import ConfigError
from raypipe.ssl.folds import SplitNames, has_splits, official_fold, speaker_folds

SPEAKERS = [f"s{number}" for number in np.random.default_rng(0).integers(0, 13, 200)]


def test_no_speaker_is_in_two_parts_and_every_clip_is_tested_once() -> None:
    folds = speaker_folds(SPEAKERS, 5, seed=1)
    tested = np.concatenate([fold.test for fold in folds])
    assert sorted(tested) == list(range(200))
    for fold in folds:
        parts = [{SPEAKERS[row] for row in rows} for rows in (fold.train, fold.dev, fold.test)]
        assert not parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2]
        assert sorted(np.concatenate([fold.train, fold.dev, fold.test])) == list(range(200))
        assert 25 <= len(fold.test) <= 55


def test_a_seed_decides_the_folds() -> None:
    def tests(seed: int) -> list[list[int]]:
        return [fold.test.tolist() for fold in speaker_folds(SPEAKERS, 4, seed)]

    assert tests(1) == tests(1)
    assert tests(1) != tests(2)


@pytest.mark.parametrize(
    ("speakers", "count", "words"),
    [
        (SPEAKERS, 2, "too few"),
        ([*SPEAKERS, None], 5, "no speaker"),
        (["a", "b", "c"], 4, "3 speakers"),
    ],
)
def test_folds_that_cannot_be_are_refused(
    speakers: list[str | None], count: int, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        speaker_folds(speakers, count, 0)


def test_official_splits_go_by_name() -> None:
    splits = ["Train", "Development", "Test1", "Test2", None, "extra", "train"]
    fold = official_fold(splits, SplitNames())
    assert (fold.train.tolist(), fold.dev.tolist(), fold.test.tolist()) == ([0, 6], [1], [2, 3])
    assert has_splits(splits, SplitNames())
    assert not has_splits(["train", "test"], SplitNames())
    only_first = SplitNames(test=("test1",))
    assert official_fold(splits, only_first).test.tolist() == [2]
    with pytest.raises(ConfigError, match=r"no clip is in dev; the splits are test, train"):
        official_fold(["train", "test"], SplitNames())
