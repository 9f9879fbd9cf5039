"""The engine's own scheduling over rows that are counted, not computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from raypipe.engines import tree_decoder
from raypipe.records import ModelInput

LONGEST, USUAL, SPREAD, ENDLESS_SHARE = 96, 40, 6, 0.03


class CountedRows:
    """Rows whose answers end after a number of steps, in the place of lanes, slots and a model."""

    def __init__(self, lengths: Sequence[int], rows: int) -> None:
        self.device = torch.device("cpu")
        self.cache = SimpleNamespace(row_count=rows, start=lambda *_: None)
        self.lanes = self
        self.clips = list(range(len(lengths)))
        self.steps = 0
        self._lengths, self._left = lengths, [0] * rows
        self._entering: Sequence[int] = ()

    def spoiled(self, rows: Sequence[int]) -> list[int]:
        """None: nothing is computed."""
        return []

    def take(self, indices: Sequence[int]) -> list[None]:
        """The clips of what enters next."""
        self._entering = indices
        return [None] * len(indices)

    def embed(self, inputs: Sequence[ModelInput], audio: object) -> tuple[None, Any]:
        """Prompts, of which nothing is known but who asks."""
        self._asked = [int(each.utterance_id) for each in inputs]
        return None, None

    def prefill(self, *_: object) -> None:
        """Nothing."""

    def start(self, where: torch.Tensor, *_: object) -> None:
        """Answers begin: their first token comes with the prompt."""
        for row, index in zip(where.tolist(), self._asked, strict=True):
            self._left[row] = self._lengths[index] - 1

    def step(self, busy: Mapping[int, Any]) -> None:
        """One token in every row."""
        self.steps += 1
        self._left = [left - 1 for left in self._left]
        for occupant in busy.values():
            occupant.steps_taken += 1

    def done(self) -> list[bool]:
        """Which rows have ended."""
        return [left <= 0 for left in self._left]

    def traces(self, rows: Sequence[int]) -> list[None]:
        """Their answers."""
        return [None] * len(rows)


def steps_of(lengths: Sequence[int], rows: int) -> int:
    """Decode steps of one call on a GPU."""
    counted: Any = CountedRows(lengths, min(rows, len(lengths)))
    inputs = [
        ModelInput(str(at), np.zeros(100, np.int64), np.zeros((1, 1), np.float32), 1)
        for at in range(len(lengths))
    ]
    call = tree_decoder._Call(
        counted,
        counted,
        tree_decoder._Prompts(inputs, [0] * len(inputs), None),
        counted,
        SimpleNamespace(max_new_tokens=LONGEST),
        counted.cache.row_count,
        max(1, rows // tree_decoder._REFILLED_SHARE_ON_ACCELERATORS),
    )
    answered: list[int] = []
    call.run(
        lambda index, _: answered.append(index), tree_decoder._STEPS_BETWEEN_CHECKS_ON_ACCELERATORS
    )
    assert sorted(answered) == list(range(len(lengths)))
    return counted.steps


def answer_lengths(count: int) -> list[int]:
    """Made-up steps of answers: around 40, and 3 % that never end."""
    rng = np.random.default_rng(0)
    drawn = rng.normal(USUAL, SPREAD, count).round().clip(8, LONGEST)
    drawn[rng.random(count) < ENDLESS_SHARE] = LONGEST
    lengths: list[int] = drawn.astype(int).tolist()
    return lengths


def steps_in_calls(lengths: Sequence[int], rows: int, size: int) -> int:
    """Decode steps of all answers in calls of so many."""
    return sum(
        steps_of(lengths[first : first + size], rows) for first in range(0, len(lengths), size)
    )
