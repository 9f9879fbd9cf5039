"""Which clips a head learns from, which decide the epoch, and which it is measured on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raypipe.errors import ConfigError

FEWEST_FOLDS = 3
"""One for the test, one for the dev set, one to learn from."""


@dataclass(frozen=True, slots=True)
class Fold:
    """Rows of the three parts, each in order."""

    train: NDArray[np.int64]
    dev: NDArray[np.int64]
    test: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SplitNames:
    """What a corpus calls its splits; upper and lower case are the same.

    Attributes:
        train: to learn from.
        dev: that decide the epoch.
        test: to be measured on.
    """

    train: tuple[str, ...] = ("train", "training")
    dev: tuple[str, ...] = ("dev", "development", "val", "valid", "validation")
    test: tuple[str, ...] = ("test", "test1", "test2", "test3")

    def part(self, split: str | None) -> str | None:
        """``train``, ``dev``, ``test``, or None for another split."""
        for part in ("train", "dev", "test"):
            if (split or "").lower() in (name.lower() for name in getattr(self, part)):
                return part
        return None


def has_splits(splits: Sequence[str | None], names: SplitNames) -> bool:
    """Whether a corpus has all three parts."""
    return {"train", "dev", "test"} <= {names.part(split) for split in splits}


def official_fold(splits: Sequence[str | None], names: SplitNames) -> Fold:
    """The corpus's own splits.

    Raises:
        ConfigError: if one of the parts is empty, naming the splits that there are.
    """
    parts: Mapping[str, NDArray[np.int64]] = {
        part: np.array([row for row, split in enumerate(splits) if names.part(split) == part], int)
        for part in ("train", "dev", "test")
    }
    empty = [part for part, rows in parts.items() if not len(rows)]
    if empty:
        known = sorted({str(split) for split in splits})
        raise ConfigError(f"no clip is in {' or '.join(empty)}; the splits are {', '.join(known)}")
    return Fold(**parts)


def speaker_folds(speakers: Sequence[str | None], count: int, seed: int) -> tuple[Fold, ...]:
    """Speaker-independent folds: every clip is in one test set, no speaker in two parts of a fold.

    Speakers are dealt out in random order, each to the fold with the fewest clips. The dev set of
    a fold is the test set of the next one.

    Args:
        speakers: of every clip.
        count: of folds, at least 3.
        seed: of the order of the speakers.

    Raises:
        ConfigError: if a clip has no speaker, or there are fewer speakers than folds.
    """
    if count < FEWEST_FOLDS:
        raise ConfigError(f"{count} folds are too few: test, dev and training need one each")
    if any(speaker is None for speaker in speakers):
        raise ConfigError("some clips name no speaker, so folds cannot keep speakers apart")
    named = sorted({str(speaker) for speaker in speakers})
    if len(named) < count:
        raise ConfigError(f"{len(named)} speakers are too few for {count} folds")
    clips = {name: 0 for name in named}
    for speaker in speakers:
        clips[str(speaker)] += 1
    fold_of: dict[str, int] = {}
    sizes = [0] * count
    for place in np.random.default_rng(seed).permutation(len(named)):
        smallest = int(np.argmin(sizes))
        fold_of[named[place]] = smallest
        sizes[smallest] += clips[named[place]]
    where = np.array([fold_of[str(speaker)] for speaker in speakers])
    folds = []
    for test in range(count):
        dev = (test + 1) % count
        folds.append(
            Fold(
                train=np.flatnonzero((where != test) & (where != dev)),
                dev=np.flatnonzero(where == dev),
                test=np.flatnonzero(where == test),
            )
        )
    return tuple(folds)
