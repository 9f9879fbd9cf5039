"""The repetition penalty of a search: tokens that were said already lose score.

It is transformers' ``RepetitionPenaltyLogitsProcessor``, applied where ``generate()`` applies it:
beams are ranked by penalised log-probabilities, the greedy lane by penalised logits, and said
already is every id of the prompt (each audio placeholder included) and of the answer so far. What
is recorded as ``alpha`` and as emotion logits stays the model's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from raypipe.records import IntArray


class TokenScores(NamedTuple):
    """Scores of every token of a vocabulary, before they are normalised.

    Attributes:
        logits: shape ``(..., vocabulary)``, float32.
        log_normalisers: what to subtract from them, shape ``(...)``: their log-sum-exp over the
            vocabulary, or 0 where the logits are what is summed.
    """

    logits: Tensor
    log_normalisers: Tensor


def penalised(scores: Tensor, said: Tensor, repetition: float) -> Tensor:
    """Scores in which tokens that were said already are less likely, for a factor above 1.

    Args:
        scores: logits or log-probabilities, shape ``(..., vocabulary)``.
        said: whether each token was, of the same shape.
        repetition: what negative scores are multiplied by and others divided by.

    Example:
        >>> scores, said = torch.tensor([-1.0, 2.0, -1.0]), torch.tensor([True, True, False])
        >>> penalised(scores, said, 2.0).tolist()
        [-2.0, 1.0, -1.0]
    """
    return torch.where(
        said, torch.where(scores < 0, scores * repetition, scores / repetition), scores
    )


class PenalisedLanes:
    """What every lane of every row has said, and the scores that this leaves.

    Args:
        repetition: the factor, see :func:`penalised`.
        row_count: utterances decoded together.
        lane_count: hypotheses of each.
        vocabulary: number of logits.
        device: of the logits.
    """

    def __init__(
        self,
        repetition: float,
        row_count: int,
        lane_count: int,
        vocabulary: int,
        device: torch.device,
    ) -> None:
        self._repetition = repetition
        said = (row_count, lane_count, vocabulary)
        self._said = torch.zeros(said, dtype=torch.bool, device=device)
        self._rows = torch.arange(row_count, device=device)[:, None]

    def prompt(self, rows: Tensor, prompts: Sequence[IntArray]) -> None:
        """Begin a new utterance in some rows.

        Args:
            rows: which rows, shape ``(started,)``.
            prompts: token ids of their prompts, shape ``(tokens,)`` each.
        """
        self._said[rows] = False
        for row, token_ids in zip(rows, prompts, strict=True):
            self._said[row, :, torch.from_numpy(token_ids.copy()).to(rows.device)] = True

    def first(self, rows: Tensor, tokens: Tensor) -> None:
        """Take note of the first token of every lane of some rows, shape ``(started, lanes)``."""
        self._said[rows] = self._said[rows].scatter(2, tokens[..., None], True)

    def advance(self, tokens: Tensor, parents: Tensor, rows: Tensor | slice) -> None:
        """Follow every lane of some rows by one token; changes only the tensors it was made with.

        Args:
            tokens: what each chose, shape ``(rows, lanes)``.
            parents: the lane that each continues, of the same shape.
            rows: which rows.
        """
        said = self._said[self._rows[rows], parents]
        self._said[rows] = said.scatter_(2, tokens[..., None], True)

    def for_beams(self, own: TokenScores, rows: Tensor | slice, lanes: slice | int) -> TokenScores:
        """Penalised log-probabilities, by which beams are ranked; shapes as those of ``own``."""
        logprobs = own.logits - own.log_normalisers[..., None]
        ranked = penalised(logprobs, self._said[rows, lanes], self._repetition)
        return TokenScores(ranked, torch.zeros_like(own.log_normalisers))

    def for_greedy(
        self, own: TokenScores, raw: Tensor | None, rows: Tensor | slice, lane: int
    ) -> TokenScores:
        """Penalised logits, of which a greedy lane takes the largest.

        Args:
            own: the model's, minus infinity where a grammar forbids tokens.
            raw: the same before a grammar: normalised is over the whole vocabulary. None without
                a grammar.
            rows: of which rows.
            lane: the greedy one.
        """
        said = self._said[rows, lane]
        ranked = penalised(own.logits, said, self._repetition)
        whole = ranked if raw is None else penalised(raw, said, self._repetition)
        return TokenScores(ranked, whole.logsumexp(-1))
