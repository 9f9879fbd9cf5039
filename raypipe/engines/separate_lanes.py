"""Lanes that never branch: what those of samples and of given answers have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from raypipe.engines.grammar import GrammarState
from raypipe.engines.lanes import Trace
from raypipe.errors import EngineError
from raypipe.records import FinishReason, FloatArray


@dataclass(frozen=True, slots=True)
class GivenAnswers:
    """Given answers, whose log-likelihood is asked for.

    Attributes:
        answers: token ids of each, at least one of at least one token, without an end token.
        end_ids: ids that end an answer; of several the likeliest counts.
        grammar: none.
    """

    answers: tuple[tuple[int, ...], ...]
    end_ids: tuple[int, ...]
    grammar: GrammarState | None = None


class SeparateLanes(ABC):
    """Rows of lanes that each continue themselves, in place of the lanes of a search.

    Attributes:
        tokens: what every lane feeds in next, shape ``(rows, lanes)``; changed in place.
        parents: every lane continues itself, shape ``(rows, lanes)``.
    """

    def __init__(self, row_count: int, lane_count: int, steps: int, device: torch.device) -> None:
        self._steps = steps
        self._rows = torch.arange(row_count, device=device)
        self._step = torch.zeros(row_count, dtype=torch.int64, device=device)
        self._finite = torch.ones(row_count, dtype=torch.bool, device=device)
        self.tokens = torch.zeros(row_count, lane_count, dtype=torch.int64, device=device)
        self.parents = torch.arange(lane_count, device=device).repeat(row_count, 1)

    def advance(self, logits: Tensor) -> None:
        """Take one step in every lane.

        Args:
            logits: raw logits, shape ``(rows, lanes, vocabulary)``, float32.
        """
        self._take(self._rows, logits)

    def done(self) -> list[bool]:
        """Which rows cannot change any more; waits for the device."""
        done: list[bool] = (self._ended() | ~self._finite).tolist()
        return done

    def spoiled(self, rows: Sequence[int]) -> list[int]:
        """Those of some rows whose logits have not always been numbers; waits for the device."""
        finite = self._finite.tolist()
        return [row for row in rows if not finite[row]]

    def traces(self, rows: Sequence[int]) -> list[list[Trace] | EngineError]:
        """For each of some rows that are done a trace per lane, in their order.

        An error instead where the row's numbers are worthless.
        """
        where = torch.tensor(rows, device=self._rows.device, dtype=torch.int64)
        finite = self._finite[where].tolist()
        good = [place for place, is_finite in enumerate(finite) if is_finite]
        answers = iter(self._traces(where[good]))
        return [
            next(answers) if is_finite else EngineError("the model's logits are not finite")
            for is_finite in finite
        ]

    @abstractmethod
    def _take(self, rows: Tensor, logits: Tensor) -> None:
        """Take one step in some rows; raw logits of shape ``(taken, lanes, vocabulary)``."""

    @abstractmethod
    def _ended(self) -> Tensor:
        """Which rows have ended in all lanes, shape ``(rows,)``."""

    @abstractmethod
    def _traces(self, rows: Tensor) -> list[list[Trace]]:
        """The traces of some rows that are done, and whose numbers are good."""


class SteppedLanes(SeparateLanes):
    """Lanes that say one token after the other."""

    def __init__(self, row_count: int, lane_count: int, steps: int, device: torch.device) -> None:
        super().__init__(row_count, lane_count, steps, device)
        self._logprobs = torch.zeros(row_count, steps, lane_count, device=device)

    def _begin(self, rows: Tensor, logits: Tensor) -> None:
        """Start some rows anew and take their first step, all lanes from the same logits."""
        self._step[rows] = 0
        self._finite[rows] = True
        self._take(rows, logits[:, None].expand(-1, self.tokens.shape[1], -1))

    def _take(self, rows: Tensor, logits: Tensor) -> None:
        log_normalisers = torch.logsumexp(logits, -1)
        self._finite[rows] &= torch.isfinite(log_normalisers).all(-1)
        step = self._step[rows]
        # Rows that are done go on stepping until another utterance takes their place.
        slot = step.clamp(max=self._steps - 1)
        tokens, said = self._choose(rows, slot, logits)
        self._logprobs[rows, slot] = said - log_normalisers
        self.tokens[rows] = tokens
        self._step[rows] = step + 1

    @abstractmethod
    def _choose(self, rows: Tensor, slot: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        """The tokens of a step in some rows, and the raw logits of what they stand for.

        Args:
            rows: which rows, shape ``(taken,)``.
            slot: number of their step, from 0, shape ``(taken,)``.
            logits: raw logits, shape ``(taken, lanes, vocabulary)``.
        """


def trace(
    kind: str,
    rank: int,
    token_ids: tuple[int, ...],
    logprobs: FloatArray,
    finish_reason: FinishReason,
    emotion_logits: FloatArray | None,
) -> Trace:
    """A trace whose alpha is the plain sum of its log-probabilities."""
    alpha = float(np.add.accumulate(logprobs, dtype=np.float64)[-1])
    return Trace(kind, rank, token_ids, logprobs, alpha, finish_reason, emotion_logits)
