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

    def states(self, row: int) -> list[GrammarState]:
        """Where each lane of a row is."""
        return self._states[row]

    def before_step(self, logits: Tensor, rows: Sequence[int]) -> Tensor:
        """Logits of all lanes of some rows as the search sees them.

        On a GPU the allowed tokens are worked out while the model is still computing.

        Args:
            logits: shape ``(rows, lanes, vocabulary)``.
            rows: which rows.
        """
        lanes = [state for row in rows for state in self._states[row]]
        return masked(logits, _on_device(lanes, logits.device).view(*logits.shape[:2], -1))

    def start(self, rows: Tensor, tokens: Tensor) -> None:
        """Begin an answer in every lane of some rows; waits for the device.

        Args:
            rows: which rows, shape ``(started,)``.
            tokens: what each of their lanes chose first, shape ``(started, lanes)``.
        """
        for row, chosen in zip(rows.tolist(), tokens.tolist(), strict=True):
            self._states[row] = [self._start.after(token) for token in chosen]

    def advance(self, tokens: Tensor, parents: Tensor, rows: Sequence[int]) -> None:
        """Follow every lane of some rows by one token; waits for the device.

        Args:
            tokens: what each chose, shape ``(rows, lanes)``.
            parents: the lane that each continues, of the same shape.
            rows: which rows.
        """
        for row, chosen, of_row in zip(rows, tokens.tolist(), parents.tolist(), strict=True):
            before = self._states[row]
            self._states[row] = [
                before[parent].after(token) for token, parent in zip(chosen, of_row, strict=True)
            ]

    def leave(self, rows: Sequence[int]) -> None:
        """Follow the lanes of some rows no longer."""
        for row in rows:
            self._states[row] = self._nowhere


def _on_device(states: Sequence[GrammarState], device: torch.device) -> Tensor:
    return torch.from_numpy(np.stack([state.allowed for state in states])).to(device)
