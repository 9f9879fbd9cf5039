"""Answers that are given instead of searched for: a lane for each, which only tells its scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from raypipe.engines.lanes import Trace
from raypipe.engines.separate_lanes import GivenAnswers, SteppedLanes, trace
from raypipe.records import IntArray


@dataclass(frozen=True, slots=True)
class ForcedAnswers(GivenAnswers):
    """Given answers for a decoder that knows lanes only: one lane for each."""

    @property
    def lane_count(self) -> int:
        """Query positions per row in a decode step."""
        return len(self.answers)

    @property
    def max_new_tokens(self) -> int:
        """Tokens of the longest answer, its end included."""
        return max(map(len, self.answers)) + 1

    @property
    def tree(self) -> None:
        """Its lanes stand side by side."""
        return None

    def lanes(self, row_count: int, device: torch.device) -> ForcedLanes:
        """The lanes of so many rows."""
        return ForcedLanes(row_count, self, device)


class ForcedLanes(SteppedLanes):
    """One lane for each given answer, in every row; what each row does is told by its lanes alone.

    The scores are the model's own: penalties of a search have no part in them.
    """

    def __init__(self, row_count: int, settings: ForcedAnswers, device: torch.device) -> None:
        super().__init__(row_count, settings.lane_count, settings.max_new_tokens, device)
        self._settings = settings
        end = settings.end_ids[0]
        # Lanes whose answer is over go on with an end token, which nobody looks at.
        padded = [(*answer, *[end] * (self._steps - len(answer))) for answer in settings.answers]
        self._answers = torch.tensor(padded, device=device).T.contiguous()  # (steps, lanes)
        self._lengths = torch.tensor([len(answer) for answer in settings.answers], device=device)
        self._end_ids = torch.tensor(settings.end_ids, device=device)
        self._ends = torch.zeros_like(self.tokens)

    def start(
        self, rows: Tensor, logits: Tensor, prompts: Sequence[IntArray], names: Sequence[str]
    ) -> None:
        """Begin a new utterance in some rows, as ``RowLanes.start``."""
        del prompts, names
        self._begin(rows, logits)

    def _choose(self, rows: Tensor, slot: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        best_end, which = logits[..., self._end_ids].max(-1)
        ends = slot[:, None] == self._lengths
        self._ends[rows] = torch.where(ends, which, self._ends[rows])
        tokens = self._answers[slot]
        said = logits.gather(-1, tokens[..., None])[..., 0]
        return tokens, torch.where(ends, best_end, said)

    def _ended(self) -> Tensor:
        return self._step >= self._steps

    def _traces(self, rows: Tensor) -> list[list[Trace]]:
        logprobs, ends = self._logprobs[rows].cpu().numpy(), self._ends[rows].tolist()
        return [
            [
                trace(
                    "text",
                    lane,
                    (*answer, self._settings.end_ids[end[lane]]),
                    own[: len(answer) + 1, lane].copy(),
                    "stop",
                    None,
                )
                for lane, answer in enumerate(self._settings.answers)
            ]
            for own, end in zip(logprobs, ends, strict=True)
        ]
