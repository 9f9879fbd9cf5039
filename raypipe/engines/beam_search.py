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

from raypipe.engines.penalties import TokenScores
from raypipe.records import FloatArray

_MINUS_INFINITY = float("-inf")


@dataclass(frozen=True, slots=True)
class Path:
    """One finished hypothesis.

    Attributes:
        token_ids: generated ids, shape ``(steps,)``.
        logprobs: the model's log p of each, natural log, shape ``(steps,)``.
        lanes: the lane whose logits each token was chosen from, shape ``(steps,)``.
        score: what the search summed up: of ``logprobs``, or of what it was given to rank by.
    """

    token_ids: tuple[int, ...]
    logprobs: FloatArray
    lanes: NDArray[np.int64]
    score: float

    @property
    def alpha(self) -> float:
        """The sum of ``logprobs``."""
        return float(np.add.accumulate(self.logprobs, dtype=np.float64)[-1])


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

    Every row counts its own steps and is started by itself: while some rows are half way, others
    begin with a new utterance. All state lies in fixed tensors that a step changes in place.

    Args:
        row_count: utterances decoded together.
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
        self._ranks = torch.arange(beam_count, device=device)
        self._step = torch.zeros(row_count, dtype=torch.int64, device=device)
        self._running = torch.zeros(row_count, beam_count, dtype=torch.float64, device=device)
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
        self._open = torch.zeros(row_count, dtype=torch.bool, device=device)

    @property
    def done(self) -> Tensor:
        """Rows whose hypotheses cannot change any more, shape ``(rows,)``."""
        return ~self._open

    def start(
        self, rows: Tensor, logits: Tensor, log_normalisers: Tensor, own: TokenScores | None = None
    ) -> tuple[Tensor, Tensor]:
        """Begin a new utterance in some rows and take its first step.

        Args:
            rows: which rows, shape ``(started,)``.
            logits: what is ranked after their prompts, as a rule raw logits, shape
                ``(started, vocabulary)``, float32.
            log_normalisers: what is subtracted from them, as a rule their log-sum-exp over the
                vocabulary, shape ``(started,)``.
            own: the model's own, of the same shapes, where something else is ranked.

        Returns:
            The tokens to feed next and the beams they continue, shape ``(started, B)`` each.
        """
        self._step[rows] = 0
        self._running[rows] = 0.0
        self._finished_scores[rows] = _MINUS_INFINITY
        self._open[rows] = True
        if own is not None:
            own = TokenScores(own.logits[:, None], own.log_normalisers[:, None])
        return self._take(rows, logits[:, None], log_normalisers[:, None], own)

    def advance(
        self,
        logits: Tensor,
        log_normalisers: Tensor,
        own: TokenScores | None = None,
        rows: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Take one step in every row, or in some.

        Args:
            logits: of the running beams, shape ``(rows, B, vocabulary)``, float32; as in
                :meth:`start`.
            log_normalisers: shape ``(rows, B)``.
            own: as in :meth:`start`.
            rows: which rows, shape ``(rows,)``; None for all.

        Returns:
            The tokens to feed next and the beams they continue, shape ``(rows, B)`` each.
        """
        return self._take(self._rows if rows is None else rows, logits, log_normalisers, own)

    def _take(
        self, rows: Tensor, logits: Tensor, log_normalisers: Tensor, own: TokenScores | None
    ) -> tuple[Tensor, Tensor]:
        step = self._step[rows]
        # After the prompt a row has a single running beam.
        running = self._running[rows, : logits.shape[1]]
        candidates = self._best_continuations(running, logits, log_normalisers, own)
        at_limit = step[:, None] + 1 >= self._max_new_tokens
        ended = is_any_of(candidates.tokens, self._end_ids) | at_limit
        going_on = candidates.scores.masked_fill(ended, _MINUS_INFINITY)
        running, survivors = going_on.topk(self._beam_count)
        self._running[rows] = running
        self._remember(rows, step, candidates, survivors)
        worst_finished = self._finish(rows, step, candidates, ended)
        self._open[rows] &= running[:, 0] > worst_finished
        self._step[rows] = step + 1
        return candidates.tokens.gather(1, survivors), candidates.parents.gather(1, survivors)

    def _best_continuations(
        self, running: Tensor, logits: Tensor, log_normalisers: Tensor, own: TokenScores | None
    ) -> _Candidates:
        # The best of a row are among the best of its beams: no log-softmax over beams * vocabulary.
        best, tokens = logits.topk(min(self._kept, logits.shape[-1]))
        logprobs = best - log_normalisers[..., None]
        scores = running[..., None] + logprobs.double()
        if own is not None:
            logprobs = own.logits.gather(-1, tokens) - own.log_normalisers[..., None]
        scores, order = scores.flatten(1).topk(self._kept)
        return _Candidates(
            scores,
            tokens.flatten(1).gather(1, order),
            order // tokens.shape[-1],
            logprobs.flatten(1).gather(1, order),
        )

    def _remember(
        self, rows: Tensor, step: Tensor, candidates: _Candidates, survivors: Tensor
    ) -> None:
        # A row that is done keeps its place until another utterance takes it; its steps past the
        # end are not stored.
        step = step.clamp(max=self._max_new_tokens - 1)
        self._tokens[rows, step] = candidates.tokens
        self._parents[rows, step] = candidates.parents
        self._logprobs[rows, step] = candidates.logprobs
        self._survivors[rows, step] = survivors

    def _finish(self, rows: Tensor, step: Tensor, candidates: _Candidates, ended: Tensor) -> Tensor:
        """Keep the best B finished hypotheses; the worst one's score, shape ``(rows,)``."""
        first = slice(None), slice(self._beam_count)
        eligible = ended[first] & self._open[rows, None]
        new_scores = candidates.scores[first].masked_fill(~eligible, _MINUS_INFINITY)
        new_at = step[:, None] * self._kept + self._ranks
        scores = torch.cat([self._finished_scores[rows], new_scores], 1)
        scores, order = scores.topk(self._beam_count)
        self._finished_scores[rows] = scores
        self._finished_at[rows] = torch.cat([self._finished_at[rows], new_at], 1).gather(1, order)
        return scores[:, -1]

    def paths(self, rows: Tensor) -> list[list[Path]]:
        """The B hypotheses of each of some rows, best first, once these rows are done.

        Fewer than B where no more than that are possible: where all further ones have a token
        whose logit is minus infinity.

        Args:
            rows: which rows, shape ``(asked,)``; waits for the device.
        """
        at, scores = _on_host(self._finished_at, rows), _on_host(self._finished_scores, rows)
        tokens, parents = _on_host(self._tokens, rows), _on_host(self._parents, rows)
        logprobs, survivors = _on_host(self._logprobs, rows), _on_host(self._survivors, rows)
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
                if score > _MINUS_INFINITY
            ]
            for row in range(len(at))
        ]


def is_any_of(tokens: Tensor, ids: Tensor) -> Tensor:
    """Whether each token is one of ``ids``, shape of ``tokens``.

    Like ``torch.isin``, which for longer ``ids`` sorts and thereby waits for the device.
    """
    return (tokens[..., None] == ids).any(-1)


def _on_host(state: Tensor, rows: Tensor) -> np.ndarray:
    return state[rows].cpu().numpy()


def _trace_back(
    end: tuple[int, int],
    tokens: NDArray[np.int64],
    parents: NDArray[np.int64],
    logprobs: FloatArray,
    survivors: NDArray[np.int64],
    score: float,
) -> Path:
    """Path from the first step to a finished candidate, given as (step, rank)."""
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

    Not the same as one of the beams: a beam search may drop the greedy prefix. Rows count their
    own steps, as in :class:`BeamLanes`.

    Args:
        row_count: utterances decoded together.
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
        self._scores = torch.zeros(row_count, max_new_tokens, device=device)

    @property
    def done(self) -> Tensor:
        """Rows whose hypothesis has ended, shape ``(rows,)``."""
        return self._length > 0

    def start(
        self, rows: Tensor, logits: Tensor, log_normalisers: Tensor, own: TokenScores | None = None
    ) -> Tensor:
        """Begin a new utterance in some rows and take its first step.

        Args:
            rows: which rows, shape ``(started,)``.
            logits: what is chosen from after their prompts, as a rule raw logits, shape
                ``(started, vocabulary)``, float32.
            log_normalisers: their log-sum-exp over the vocabulary, shape ``(started,)``.
            own: the model's own, of the same shapes, where something else is chosen from.

        Returns:
            The tokens to feed next, shape ``(started,)``.
        """
        self._step[rows] = 0
        self._length[rows] = 0
        return self._take(rows, logits, log_normalisers, own)

    def advance(
        self,
        logits: Tensor,
        log_normalisers: Tensor,
        own: TokenScores | None = None,
        rows: Tensor | None = None,
    ) -> Tensor:
        """Take one step in every row, or in some; shapes as in :meth:`start`."""
        return self._take(self._rows if rows is None else rows, logits, log_normalisers, own)

    def _take(
        self, rows: Tensor, logits: Tensor, log_normalisers: Tensor, own: TokenScores | None
    ) -> Tensor:
        best, tokens = logits.max(-1)
        step, length = self._step[rows], self._length[rows]
        slot = step.clamp(max=self._max_new_tokens - 1)
        self._tokens[rows, slot] = tokens
        scores = logprobs = best - log_normalisers
        if own is not None:
            logprobs = own.logits.gather(-1, tokens[:, None])[:, 0] - own.log_normalisers
        self._scores[rows, slot] = scores
        self._logprobs[rows, slot] = logprobs
        ends = is_any_of(tokens, self._end_ids) | (step + 1 >= self._max_new_tokens)
        self._length[rows] = torch.where(ends & (length == 0), step + 1, length)
        self._step[rows] = step + 1
        return tokens

    def paths(self, rows: Tensor) -> list[Path]:
        """The hypothesis of each of some rows, once these rows are done.

        Args:
            rows: which rows, shape ``(asked,)``; waits for the device.
        """
        tokens, logprobs = _on_host(self._tokens, rows), _on_host(self._logprobs, rows)
        scores = _on_host(self._scores, rows)
        return [
            Path(
                tuple(tokens[row, :length].tolist()),
                logprobs[row, :length].copy(),
                np.full(length, self._lane, dtype=np.int64),
                float(np.add.accumulate(scores[row, :length], dtype=np.float64)[-1]),
            )
            for row, length in enumerate(_on_host(self._length, rows).tolist())
        ]
