"""Grammar states of many lanes, and the logits that they leave."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from raypipe.engines.grammar import GrammarState

_MINUS_INFINITY = float("-inf")


def masked(logits: Tensor, allowed: Tensor) -> Tensor:
    """A copy of some logits in which only allowed tokens are finite.

    Args:
        logits: shape ``(..., vocabulary)``.
        allowed: :data:`raypipe.engines.grammar.PackedBits`, shape ``(..., bytes)``, on the same
            device.
    """
    bits = torch.tensor([1, 2, 4, 8, 16, 32, 64, 128], dtype=torch.uint8, device=logits.device)
    forbidden = ((allowed[..., None] & bits) == 0).flatten(-2)[..., : logits.shape[-1]]
    return logits.masked_fill(forbidden, _MINUS_INFINITY)


class GrammarLanes:
    """Grammar state of every lane of every row.

    Args:
        start: where every answer begins.
        row_count: utterances decoded together.
        lane_count: hypotheses of each.
    """

    def __init__(self, start: GrammarState, row_count: int, lane_count: int) -> None:
        self._start, self._nowhere = start, [start.nowhere()] * lane_count
        self._states = [self._nowhere] * row_count

    def before_start(self, logits: Tensor) -> Tensor:
        """Logits after prompts as the search sees them, shape ``(started, vocabulary)``."""
        return masked(logits, _on_device([self._start], logits.device))

    def before_step(self, logits: Tensor) -> Tensor:
        """Logits of all lanes as the search sees them, shape ``(rows, lanes, vocabulary)``.

        On a GPU the allowed tokens are worked out while the model is still computing.
        """
        lanes = [state for states in self._states for state in states]
        return masked(logits, _on_device(lanes, logits.device).view(*logits.shape[:2], -1))

    def start(self, rows: Tensor, tokens: Tensor) -> None:
        """Begin an answer in every lane of some rows; waits for the device.

        Args:
            rows: which rows, shape ``(started,)``.
            tokens: what each of their lanes chose first, shape ``(started, lanes)``.
        """
        for row, chosen in zip(rows.tolist(), tokens.tolist(), strict=True):
            self._states[row] = [self._start.after(token) for token in chosen]

    def advance(self, tokens: Tensor, parents: Tensor) -> None:
        """Follow every lane by one token; waits for the device.

        Args:
            tokens: what each chose, shape ``(rows, lanes)``.
            parents: the lane that each continues, of the same shape.
        """
        steps = zip(self._states, tokens.tolist(), parents.tolist(), strict=True)
        self._states = [
            [before[parent].after(token) for token, parent in zip(row, of_row, strict=True)]
            for before, row, of_row in steps
        ]

    def leave(self, rows: Sequence[int]) -> None:
        """Follow the lanes of some rows no longer."""
        for row in rows:
            self._states[row] = self._nowhere


def _on_device(states: Sequence[GrammarState], device: torch.device) -> Tensor:
    return torch.from_numpy(np.stack([state.allowed for state in states])).to(device)
