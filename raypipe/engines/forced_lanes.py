"""Answers that are given instead of searched for: a lane for each, which only tells its scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from raypipe.engines.grammar import GrammarState
from raypipe.engines.lanes import Trace
from raypipe.errors import EngineError
from raypipe.records import IntArray


@dataclass(frozen=True, slots=True)
class ForcedAnswers:
    """Given answers, whose log-likelihood is asked for.

    Attributes:
        answers: token ids of each, at least one of at least one token, without an end token.
        end_ids: ids that end an answer; of several the likeliest counts.
        grammar: none.
    """

    answers: tuple[tuple[int, ...], ...]
    end_ids: tuple[int, ...]
    grammar: GrammarState | None = None

    @property
    def lane_count(self) -> int:
        """Query positions per row in a decode step."""
        return len(self.answers)

    @property
    def max_new_tokens(self) -> int:
        """Tokens of the longest answer, its end included."""
        return max(map(len, self.answers)) + 1

    def lanes(self, row_count: int, device: torch.device) -> ForcedLanes:
        """The lanes of so many rows."""
        return ForcedLanes(row_count, self, device)


class ForcedLanes:
    """One lane for each given answer, in every row; what each row does is told by its lanes alone.

    In place of :class:`raypipe.engines.lanes.Lanes`. The scores are the model's own: penalties of
    a search have no part in them.

    Attributes:
        tokens: what every lane feeds in next, shape ``(rows, lanes)``; changed in place.
        parents: every lane continues itself, shape ``(rows, lanes)``.
    """

    def __init__(self, row_count: int, settings: ForcedAnswers, device: torch.device) -> None:
        self._settings = settings
        self._steps = settings.max_new_tokens
        lane_count, end = settings.lane_count, settings.end_ids[0]
        # Lanes whose answer is over go on with an end token, which nobody looks at.
        padded = [(*answer, *[end] * (self._steps - len(answer))) for answer in settings.answers]
        self._answers = torch.tensor(padded, device=device).T.contiguous()  # (steps, lanes)
        self._lengths = torch.tensor([len(answer) for answer in settings.answers], device=device)
        self._end_ids = torch.tensor(settings.end_ids, device=device)
        self._rows = torch.arange(row_count, device=device)
        self._step = torch.zeros(row_count, dtype=torch.int64, device=device)
        self._finite = torch.ones(row_count, dtype=torch.bool, device=device)
        self._logprobs = torch.zeros(row_count, self._steps, lane_count, device=device)
        self._ends = torch.zeros(row_count, lane_count, dtype=torch.int64, device=device)
        self.tokens = torch.zeros(row_count, lane_count, dtype=torch.int64, device=device)
        self.parents = torch.arange(lane_count, device=device).repeat(row_count, 1)

    def start(
        self, rows: Tensor, logits: Tensor, prompts: Sequence[IntArray], names: Sequence[str]
    ) -> None:
        """Begin a new utterance in some rows; all lanes of a row start from the same logits.

        Args:
            rows: which rows, shape ``(started,)``.
            logits: raw logits after their prompts, shape ``(started, vocabulary)``, float32.
            prompts: without effect; part of the lanes' interface.
            names: without effect; part of the lanes' interface.
        """
        del prompts, names
        self._step[rows] = 0
        self._finite[rows] = True
        every = logits[:, None].expand(-1, self._settings.lane_count, -1)
        self._take(rows, every, torch.logsumexp(logits, -1)[:, None])

    def advance(self, logits: Tensor) -> None:
        """Take one step in every lane.

        Args:
            logits: raw logits, shape ``(rows, lanes, vocabulary)``, float32.
        """
        self._take(self._rows, logits, torch.logsumexp(logits, -1))

    def _take(self, rows: Tensor, logits: Tensor, log_normalisers: Tensor) -> None:
        self._finite[rows] &= torch.isfinite(log_normalisers).all(-1)
        # Rows that are done go on stepping until another utterance takes their place.
        step = self._step[rows].clamp(max=self._steps - 1)
        best_end, which = logits[..., self._end_ids].max(-1)
        ends = step[:, None] == self._lengths
        self._ends[rows] = torch.where(ends, which, self._ends[rows])
        tokens = self._answers[step]
        said = logits.gather(-1, tokens[..., None])[..., 0]
        self._logprobs[rows, step] = torch.where(ends, best_end, said) - log_normalisers
        self.tokens[rows] = tokens
        self._step[rows] = step + 1

    def done(self) -> list[bool]:
        """Which rows have been told everything; waits for the device."""
        done: list[bool] = ((self._step >= self._steps) | ~self._finite).tolist()
        return done

    def spoiled(self, rows: Sequence[int]) -> list[int]:
        """Those of some rows whose logits have not always been numbers; waits for the device."""
        finite = self._finite.tolist()
        return [row for row in rows if not finite[row]]

    def traces(self, rows: Sequence[int]) -> list[list[Trace] | EngineError]:
        """For each of some rows that are done a trace per answer, in their order.

        An error instead where the row's numbers are worthless.
        """
        where = torch.tensor(rows, device=self._rows.device, dtype=torch.int64)
        logprobs, ends = self._logprobs[where].cpu().numpy(), self._ends[where].tolist()
        finite = self._finite[where].tolist()
        traces: list[list[Trace] | EngineError] = []
        for place, is_finite in enumerate(finite):
            if not is_finite:
                traces.append(EngineError("the model's logits are not finite"))
                continue
            row = []
            for lane, answer in enumerate(self._settings.answers):
                own = logprobs[place, : len(answer) + 1, lane].copy()
                token_ids = (*answer, self._settings.end_ids[ends[place][lane]])
                alpha = float(np.add.accumulate(own, dtype=np.float64)[-1])
                row.append(Trace("text", lane, token_ids, own, alpha, "stop", None))
            traces.append(row)
        return traces
