"""Answers drawn from the model's own distribution, several of each utterance side by side."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from raypipe.engines.beam_search import is_any_of
from raypipe.engines.grammar import GrammarState
from raypipe.engines.lanes import Trace
from raypipe.errors import EngineError
from raypipe.records import FinishReason, IntArray, Sampling


@dataclass(frozen=True, slots=True)
class SampledAnswers:
    """A request for samples with what a checkpoint adds to it.

    Attributes:
        sampling: what is asked for.
        end_ids: ids that end an answer.
        recorded_ids: ids whose raw logits are kept at every step.
        grammar: none.
    """

    sampling: Sampling
    end_ids: tuple[int, ...]
    recorded_ids: tuple[int, ...]
    grammar: GrammarState | None = None

    @property
    def lane_count(self) -> int:
        """Query positions per row in a decode step."""
        return self.sampling.count

    @property
    def max_new_tokens(self) -> int:
        """Tokens of the longest answer."""
        return self.sampling.max_new_tokens

    def lanes(self, row_count: int, device: torch.device) -> SampledLanes:
        """The lanes of so many rows."""
        return SampledLanes(row_count, self, device)


class SampledLanes:
    """So many samples in every row, in place of :class:`raypipe.engines.lanes.Lanes`.

    Every draw takes one uniform number, which comes from the seed, the utterance's id, the lane
    and the step alone: neither the rows beside it nor the batch move it. Log-probabilities and
    recorded logits are the model's own, before temperature and top-p.

    Attributes:
        tokens: what every lane feeds in next, shape ``(rows, lanes)``; changed in place.
        parents: every lane continues itself, shape ``(rows, lanes)``.
    """

    def __init__(self, row_count: int, settings: SampledAnswers, device: torch.device) -> None:
        self._settings = settings
        limit, lane_count = settings.max_new_tokens, settings.lane_count
        self._end_ids = torch.tensor(settings.end_ids, device=device)
        self._recorded_ids = torch.tensor(settings.recorded_ids, dtype=torch.int64, device=device)
        self._rows = torch.arange(row_count, device=device)
        self._step = torch.zeros(row_count, dtype=torch.int64, device=device)
        self._finite = torch.ones(row_count, dtype=torch.bool, device=device)
        self._uniforms = torch.zeros(
            row_count, limit, lane_count, dtype=torch.float64, device=device
        )
        self._tokens = torch.zeros(row_count, limit, lane_count, dtype=torch.int64, device=device)
        self._logprobs = torch.zeros(row_count, limit, lane_count, device=device)
        self._length = torch.zeros(row_count, lane_count, dtype=torch.int64, device=device)
        record = (row_count, limit, lane_count, len(settings.recorded_ids))
        self._record = torch.zeros(record, device=device)
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
            names: ids of their utterances.
        """
        del prompts
        self._step[rows] = 0
        self._length[rows] = 0
        self._finite[rows] = True
        drawn = np.stack([uniforms(self._settings.sampling, name) for name in names])
        self._uniforms[rows] = torch.from_numpy(drawn).to(self._uniforms.device)
        every = logits[:, None].expand(-1, self._settings.lane_count, -1)
        self._take(rows, every)

    def advance(self, logits: Tensor) -> None:
        """Take one step in every lane.

        Args:
            logits: raw logits, shape ``(rows, lanes, vocabulary)``, float32.
        """
        self._take(self._rows, logits)

    def _take(self, rows: Tensor, logits: Tensor) -> None:
        log_normalisers = torch.logsumexp(logits, -1)
        self._finite[rows] &= torch.isfinite(log_normalisers).all(-1)
        # Rows that are done go on stepping until another utterance takes their place.
        step, length = self._step[rows], self._length[rows]
        slot = step.clamp(max=self._settings.max_new_tokens - 1)
        tokens = drawn_tokens(logits, self._uniforms[rows, slot], self._settings.sampling)
        self._tokens[rows, slot] = tokens
        said = logits.gather(-1, tokens[..., None])[..., 0]
        self._logprobs[rows, slot] = said - log_normalisers
        self._record[rows, slot] = logits[..., self._recorded_ids]
        step = step[:, None] + 1
        ends = is_any_of(tokens, self._end_ids) | (step >= self._settings.max_new_tokens)
        self._length[rows] = torch.where(ends & (length == 0), step, length)
        self._step[rows] = step[:, 0]
        self.tokens[rows] = tokens

    def done(self) -> list[bool]:
        """Which rows have ended in all lanes; waits for the device."""
        done: list[bool] = ((self._length > 0).all(-1) | ~self._finite).tolist()
        return done

    def spoiled(self, rows: Sequence[int]) -> list[int]:
        """Those of some rows whose logits have not always been numbers; waits for the device."""
        finite = self._finite.tolist()
        return [row for row in rows if not finite[row]]

    def traces(self, rows: Sequence[int]) -> list[list[Trace] | EngineError]:
        """For each of some rows that are done a trace per sample, in the order of the lanes.

        An error instead where the row's numbers are worthless.
        """
        where = torch.tensor(rows, device=self._rows.device, dtype=torch.int64)
        tokens, logprobs = self._tokens[where].tolist(), self._logprobs[where].cpu().numpy()
        record, lengths = self._record[where].cpu().numpy(), self._length[where].tolist()
        traces: list[list[Trace] | EngineError] = []
        for place, is_finite in enumerate(self._finite[where].tolist()):
            if not is_finite:
                traces.append(EngineError("the model's logits are not finite"))
                continue
            row = []
            for lane, length in enumerate(lengths[place]):
                token_ids = tuple(step[lane] for step in tokens[place][:length])
                own = logprobs[place, :length, lane].copy()
                alpha = float(np.add.accumulate(own, dtype=np.float64)[-1])
                reason: FinishReason = (
                    "stop" if token_ids[-1] in self._settings.end_ids else "length"
                )
                recorded = record[place, :length, lane].copy()
                row.append(Trace("sample", lane, token_ids, own, alpha, reason, recorded))
            traces.append(row)
        return traces


def uniforms(sampling: Sampling, name: str) -> NDArray[np.float64]:
    """Numbers in [0, 1) that an utterance's samples are drawn by, shape ``(steps, samples)``.

    A further sample leaves those before it as they are; so does a further step.
    """
    columns = []
    for lane in range(sampling.count):
        key = f"{sampling.seed} {lane} {name}".encode()
        seed = int.from_bytes(hashlib.blake2b(key, digest_size=16).digest(), "big")
        columns.append(np.random.Generator(np.random.Philox(seed)).random(sampling.max_new_tokens))
    return np.stack(columns, axis=1)


def drawn_tokens(logits: Tensor, uniform: Tensor, sampling: Sampling) -> Tensor:
    """One token of every lane, by the inverse of the distribution function.

    Args:
        logits: raw logits, shape ``(rows, lanes, vocabulary)``, float32.
        uniform: in [0, 1), shape ``(rows, lanes)``, float64.
        sampling: of which temperature and top-p are read. As transformers has it, the nucleus is
            the fewest of the likeliest tokens whose probabilities add up to top-p at least.

    Returns:
        Shape ``(rows, lanes)``.

    Example:
        >>> logits = torch.tensor([[[0.5, 0.3, 0.2]]]).log()
        >>> [int(drawn_tokens(logits, torch.tensor([[at]]), Sampling(1, 1))) for at in (0.1, 0.9)]
        [0, 2]
        >>> int(drawn_tokens(logits, torch.tensor([[0.9]]), Sampling(1, 1, top_p=0.7)))
        1
    """
    shares = (logits / sampling.temperature).double().softmax(-1)
    shares, order = shares.sort(dim=-1, descending=True, stable=True)
    reached = shares.cumsum(-1)
    if sampling.top_p < 1.0:
        inside = reached - shares < sampling.top_p
        reached = (shares * inside).cumsum(-1)
    wanted = uniform[..., None] * reached[..., -1:]
    place = (reached <= wanted).sum(-1, keepdim=True).clamp(max=logits.shape[-1] - 1)
    return order.gather(-1, place)[..., 0]
