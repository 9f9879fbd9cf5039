"""Beam search and greedy search as arithmetic on logits; they know nothing of the model.

The beams follow transformers' ``generate(num_beams=B, num_return_sequences=B, length_penalty=0.0,
early_stopping=False, do_sample=False)`` hypothesis by hypothesis. With a length penalty of 0 that
search loses nothing by stopping a row when its best running beam is no better than its worst
finished one, because log-probabilities only fall.

Scores are accumulated in float64: alpha is then the plain sum of the float32 log-probabilities,
and two hypotheses closer than float32 can tell apart are still ranked by what was recorded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from raypipe.records import FloatArray

_MINUS_INFINITY = float("-inf")


@dataclass(frozen=True, slots=True)
class Path:
    """One finished hypothesis.

    Attributes:
        token_ids: generated ids, shape ``(steps,)``.
        logprobs: log p of each, natural log, shape ``(steps,)``.
        lanes: the lane whose logits each token was chosen from, shape ``(steps,)``.
        score: the sum of ``logprobs``.
    """

    token_ids: tuple[int, ...]
    logprobs: FloatArray
    lanes: NDArray[np.int64]
    score: float


class _Candidates(NamedTuple):
    """The best continuations of each row, best first; shape ``(rows, kept)`` each."""

    scores: Tensor
    tokens: Tensor
    parents: Tensor
    logprobs: Tensor


class BeamLanes:
    """The B beams of every row.

    A step keeps its best ``(1 + number of end tokens) * B`` continuations, so that at least B of
    them go on; only those ranked among the first B may end a hypothesis. Tokens, parents and the
    survivors of each step are stored as they come, and a finished hypothesis is one index into
    them: sequences are put together once, at the end.

    Every row counts its own steps: rows need not have started together.

    Args:
        row_count: utterances in the batch.
        beam_count: B, at least 1.
        max_new_tokens: every hypothesis ends after so many tokens.
        end_ids: ids that end a hypothesis, shape ``(ids,)``, on the device of the logits.
    """

    def __init__(
        self, row_count: int, beam_count: int, max_new_tokens: int, end_ids: Tensor
    ) -> None:
        self._beam_count = beam_count
        self._max_new_tokens = max_new_tokens
        self._end_ids = end_ids
        self._kept = max(2, 1 + len(end_ids)) * beam_count
        device = end_ids.device
        self._rows = torch.arange(row_count, device=device)
        self._step = torch.zeros(row_count, dtype=torch.int64, device=device)
        # One running beam before the first step; B after it.
        self._running = torch.zeros(row_count, 1, dtype=torch.float64, device=device)
        history = (row_count, max_new_tokens, self._kept)
        self._tokens = torch.zeros(history, dtype=torch.int64, device=device)
        self._parents = torch.zeros(history, dtype=torch.int64, device=device)
        self._logprobs = torch.zeros(history, dtype=torch.float32, device=device)
        self._survivors = torch.zeros(
            row_count, max_new_tokens, beam_count, dtype=torch.int64, device=device
        )
        self._finished_scores = torch.full(
            (row_count, beam_count), _MINUS_INFINITY, dtype=torch.float64, device=device
        )
        self._finished_at = torch.zeros(row_count, beam_count, dtype=torch.int64, device=device)
        self._open = torch.ones(row_count, dtype=torch.bool, device=device)

    @property
    def done(self) -> Tensor:
        """Rows whose hypotheses cannot change any more, shape ``(rows,)``."""
        return ~self._open

    def advance(self, logits: Tensor, log_normalisers: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step.

        Args:
            logits: raw logits of the running beams, shape ``(rows, beams, vocabulary)``, float32;
                a single beam per row at the first step.
            log_normalisers: their log-sum-exp over the vocabulary, shape ``(rows, beams)``.

        Returns:
            The tokens to feed next and the beams they continue, shape ``(rows, B)`` each.
        """
        candidates = self._best_continuations(logits, log_normalisers)
        at_limit = self._step[:, None] + 1 >= self._max_new_tokens
        ended = torch.isin(candidates.tokens, self._end_ids) | at_limit
        going_on = candidates.scores.masked_fill(ended, _MINUS_INFINITY)
        self._running, survivors = going_on.topk(self._beam_count)
        self._remember(candidates, survivors)
        self._finish(candidates, ended)
        self._open &= self._running[:, 0] > self._finished_scores[:, -1]
        self._step += 1
        return candidates.tokens.gather(1, survivors), candidates.parents.gather(1, survivors)

    def _best_continuations(self, logits: Tensor, log_normalisers: Tensor) -> _Candidates:
        # The best of a row are among the best of its beams: no log-softmax over beams * vocabulary.
        best, tokens = logits.topk(min(self._kept, logits.shape[-1]))
        logprobs = best - log_normalisers[..., None]
        scores = self._running[..., None] + logprobs.double()
        scores, order = scores.flatten(1).topk(self._kept)
        return _Candidates(
            scores,
            tokens.flatten(1).gather(1, order),
            order // tokens.shape[-1],
            logprobs.flatten(1).gather(1, order),
        )

    def _remember(self, candidates: _Candidates, survivors: Tensor) -> None:
        # A row that is done keeps its place in the batch; its steps past the end are not stored.
        step = self._step.clamp(max=self._max_new_tokens - 1)
        self._tokens[self._rows, step] = candidates.tokens
        self._parents[self._rows, step] = candidates.parents
        self._logprobs[self._rows, step] = candidates.logprobs
        self._survivors[self._rows, step] = survivors

    def _finish(self, candidates: _Candidates, ended: Tensor) -> None:
        first = slice(None), slice(self._beam_count)
        eligible = ended[first] & self._open[:, None]
        new_scores = candidates.scores[first].masked_fill(~eligible, _MINUS_INFINITY)
        ranks = torch.arange(self._beam_count, device=ended.device)
        new_at = self._step[:, None] * self._kept + ranks
        scores = torch.cat([self._finished_scores, new_scores], 1)
        self._finished_scores, order = scores.topk(self._beam_count)
        self._finished_at = torch.cat([self._finished_at, new_at], 1).gather(1, order)

    def paths(self) -> list[list[Path]]:
        """Every row's B hypotheses, best first, read once all rows are done."""
        at, scores = self._finished_at.cpu().numpy(), self._finished_scores.cpu().numpy()
        tokens, parents = self._tokens.cpu().numpy(), self._parents.cpu().numpy()
        logprobs, survivors = self._logprobs.cpu().numpy(), self._survivors.cpu().numpy()
        return [
            [
                _trace_back(
                    divmod(int(index), self._kept),
                    tokens[row],
                    parents[row],
                    logprobs[row],
                    survivors[row],
                    float(score),
                )
                for index, score in zip(at[row], scores[row], strict=True)
            ]
            for row in range(len(at))
        ]


def _trace_back(
    end: tuple[int, int],
    tokens: NDArray[np.int64],
    parents: NDArray[np.int64],
    logprobs: FloatArray,
    survivors: NDArray[np.int64],
    score: float,
) -> Path:
    """Walk from a finished candidate, given as (step, rank), back to the first step."""
    step, rank = end
    ranks = np.zeros(step + 1, dtype=np.int64)
    for earlier in range(step, -1, -1):
        ranks[earlier] = rank
        if earlier:
            rank = survivors[earlier - 1, parents[earlier, rank]]
    steps = np.arange(step + 1)
    return Path(
        tuple(tokens[steps, ranks].tolist()),
        logprobs[steps, ranks],
        parents[steps, ranks],
        score,
    )


class GreedyLane:
    """The most probable token at every step, for every row.

    Not the same as one of the beams: a beam search may drop the greedy prefix.

    Args:
        row_count: utterances in the batch.
        max_new_tokens: the hypothesis ends after so many tokens.
        end_ids: ids that end it, shape ``(ids,)``, on the device of the logits.
        lane: the lane's index among all lanes of a row.
    """

    def __init__(self, row_count: int, max_new_tokens: int, end_ids: Tensor, lane: int) -> None:
        self._max_new_tokens = max_new_tokens
        self._end_ids = end_ids
        self._lane = lane
        device = end_ids.device
        self._rows = torch.arange(row_count, device=device)
        self._step = torch.zeros(row_count, dtype=torch.int64, device=device)
        self._length = torch.zeros(row_count, dtype=torch.int64, device=device)
        self._tokens = torch.zeros(row_count, max_new_tokens, dtype=torch.int64, device=device)
        self._logprobs = torch.zeros(row_count, max_new_tokens, device=device)

    @property
    def done(self) -> Tensor:
        """Rows whose hypothesis has ended, shape ``(rows,)``."""
        return self._length > 0

    def advance(self, logits: Tensor, log_normalisers: Tensor) -> Tensor:
        """Take one step.

        Args:
            logits: raw logits, shape ``(rows, vocabulary)``, float32.
            log_normalisers: their log-sum-exp over the vocabulary, shape ``(rows,)``.

        Returns:
            The tokens to feed next, shape ``(rows,)``.
        """
        best, tokens = logits.max(-1)
        step = self._step.clamp(max=self._max_new_tokens - 1)
        self._tokens[self._rows, step] = tokens
        self._logprobs[self._rows, step] = best - log_normalisers
        ends = torch.isin(tokens, self._end_ids) | (self._step + 1 >= self._max_new_tokens)
        self._length = torch.where(ends & ~self.done, self._step + 1, self._length)
        self._step += 1
        return tokens

    def paths(self) -> list[Path]:
        """Every row's hypothesis, read once all rows are done."""
        tokens, logprobs = self._tokens.cpu().numpy(), self._logprobs.cpu().numpy()
        return [
            Path(
                tuple(tokens[row, :length].tolist()),
                logprobs[row, :length].copy(),
                np.full(length, self._lane, dtype=np.int64),
                float(np.add.accumulate(logprobs[row, :length], dtype=np.float64)[-1]),
            )
            for row, length in enumerate(self._length.tolist())
        ]
