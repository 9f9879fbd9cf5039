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
from raypipe.engines.separate_lanes import SteppedLanes, trace
from raypipe.records import FloatArray, IntArray, Sampling


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

    @property
    def tree(self) -> None:
        """Its lanes stand side by side."""
        return None

    def lanes(self, row_count: int, device: torch.device) -> SampledLanes:
        """The lanes of so many rows."""
        return SampledLanes(row_count, self, device)


class SampledLanes(SteppedLanes):
    """So many samples in every row.

    Every draw takes one uniform number, which comes from the seed, the utterance's id, the lane
    and the step alone: neither the rows beside it nor the batch move it. Log-probabilities and
    recorded logits are the model's own, before temperature and top-p.
    """

    def __init__(self, row_count: int, settings: SampledAnswers, device: torch.device) -> None:
        limit, lane_count = settings.max_new_tokens, settings.lane_count
        super().__init__(row_count, lane_count, limit, device)
        self._settings = settings
        self._end_ids = torch.tensor(settings.end_ids, device=device)
        self._recorded_ids = torch.tensor(settings.recorded_ids, dtype=torch.int64, device=device)
        shape = row_count, limit, lane_count
        self._uniforms = torch.zeros(shape, dtype=torch.float64, device=device)
        self._tokens = torch.zeros(shape, dtype=torch.int64, device=device)
        self._length = torch.zeros_like(self.tokens)
        self._record = torch.zeros((*shape, len(settings.recorded_ids)), device=device)

    def start(
        self, rows: Tensor, logits: Tensor, prompts: Sequence[IntArray], names: Sequence[str]
    ) -> None:
        """Begin a new utterance in some rows, as ``RowLanes.start``."""
        del prompts
        self._length[rows] = 0
        drawn = np.stack([uniforms(self._settings.sampling, name) for name in names])
        self._uniforms[rows] = torch.from_numpy(drawn).to(self._uniforms.device)
        self._begin(rows, logits)

    def _choose(self, rows: Tensor, slot: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        tokens = drawn_tokens(logits, self._uniforms[rows, slot], self._settings.sampling)
        self._tokens[rows, slot] = tokens
        self._record[rows, slot] = logits[..., self._recorded_ids]
        taken, length = slot[:, None] + 1, self._length[rows]
        ends = is_any_of(tokens, self._end_ids) | (taken >= self._steps)
        self._length[rows] = torch.where(ends & (length == 0), taken, length)
        return tokens, logits.gather(-1, tokens[..., None])[..., 0]

    def _ended(self) -> Tensor:
        return (self._length > 0).all(-1)

    def _traces(self, rows: Tensor) -> list[list[Trace]]:
        logprobs, record = self._logprobs[rows].cpu().numpy(), self._record[rows].cpu().numpy()
        tokens, lengths = self._tokens[rows].tolist(), self._length[rows].tolist()
        return [
            [
                self._trace(
                    lane,
                    tuple(step[lane] for step in tokens[place][:length]),
                    logprobs[place, :length, lane].copy(),
                    record[place, :length, lane].copy(),
                )
                for lane, length in enumerate(row)
            ]
            for place, row in enumerate(lengths)
        ]

    def _trace(
        self, lane: int, token_ids: tuple[int, ...], logprobs: FloatArray, recorded: FloatArray
    ) -> Trace:
        ended = token_ids[-1] in self._settings.end_ids
        return trace("sample", lane, token_ids, logprobs, "stop" if ended else "length", recorded)


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
    scaled = logits / sampling.temperature
    if sampling.top_p == 1.0:
        return _place(scaled.double().softmax(-1), uniform)[..., 0]
    scaled, order = scaled.sort(dim=-1, descending=True, stable=True)
    shares = scaled.double().softmax(-1)
    inside = shares.cumsum(-1) - shares < sampling.top_p
    return order.gather(-1, _place(shares * inside, uniform))[..., 0]


def _place(shares: Tensor, uniform: Tensor) -> Tensor:
    """First place at which the sum of the shares exceeds its part of the whole."""
    reached = shares.cumsum(-1)
    wanted = uniform[..., None] * reached[..., -1:]
    # A place without a share is never the first one, but at the very end of rounding.
    most = shares.shape[-1] - 1 - (shares.flip(-1) > 0).int().argmax(-1, keepdim=True)
    place = torch.searchsorted(reached, wanted, right=True)
    return torch.minimum(place, most)
