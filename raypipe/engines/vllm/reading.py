"""Continuations of prefixes, from the logits of a batch; needs no vLLM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from raypipe.engines.grammar import PackedBits
from raypipe.engines.grammar_lanes import masked
from raypipe.engines.penalties import penalised
from raypipe.engines.prefix_search import Continuations


def read_rows(
    logits: Tensor,
    rows: Sequence[int],
    kept: int,
    recorded_ids: Tensor,
    allowed: Sequence[PackedBits | None],
) -> list[Continuations]:
    """Continuations of some rows; forbidden tokens then read minus infinity in ``logits``.

    Args:
        logits: raw logits of the batch, shape ``(batch, vocabulary)``, float32.
        rows: which of them.
        kept: continuations of each row.
        recorded_ids: ids whose raw logits are kept too, shape ``(ids,)``.
        allowed: of each row, the tokens that may come next; None for all.
    """
    asked = logits[list(rows)]
    log_normalisers, recorded = asked.logsumexp(-1), asked[:, recorded_ids]
    held = {index: tokens for index, tokens in enumerate(allowed) if tokens is not None}
    if held:
        tokens, places = np.stack(list(held.values())), list(held)
        asked[places] = masked(asked[places], torch.from_numpy(tokens).to(asked.device))
        logits[[rows[index] for index in places]] = asked[places]
    best, token_ids = asked.topk(kept)
    columns = (log_normalisers, best, token_ids, recorded)
    arrays = (column.cpu().numpy() for column in columns)
    return [Continuations(*row) for row in zip(*arrays, strict=True)]


def with_said(
    answer: Continuations, raw: Tensor, allowed: Tensor, said: Tensor, repetition: float
) -> Continuations:
    """Continuations among which a search finds the best whatever the penalty does to some.

    Args:
        answer: what was read of the row.
        raw: its logits, shape ``(vocabulary,)``, float32.
        allowed: the same, minus infinity where a grammar forbids tokens.
        said: ids that the penalty is for, each once, shape ``(ids,)``.
        repetition: its factor.
    """
    best, token_ids = allowed.index_fill(0, said, -torch.inf).topk(len(answer.token_ids))
    ranked = raw.index_copy(0, said, penalised(raw[said], torch.ones_like(said).bool(), repetition))
    return replace(
        answer,
        logits=torch.cat([best, allowed[said]]).cpu().numpy(),
        token_ids=torch.cat([token_ids, said]).cpu().numpy(),
        penalised_normaliser=np.float32(ranked.logsumexp(0).item()),
    )
