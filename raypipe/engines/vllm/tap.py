"""A vLLM logits processor that reads, and changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from vllm.v1.sample.logits_processor import LogitsProcessor
from vllm.v1.sample.logits_processor.builtin import process_dict_updates

from raypipe.engines.prefix_search import Continuations

QUESTION = "raypipe_question"
"""Name of the extra argument that marks a request and numbers it."""


def tap(kept: int, recorded_ids: Sequence[int], told: dict[int, Continuations]) -> type[Any]:
    """A logits processor class for one engine, to be handed to vLLM.

    vLLM constructs it in the process it runs its model in. Here that is this process, so what is
    read goes straight into ``told``: no limit on the number of tokens (vLLM's own door for the
    log-probabilities of chosen tokens has one, of 128), and the logits need not be touched.

    Args:
        kept: continuations told of each request, at most the vocabulary.
        recorded_ids: ids whose raw logits are told too.
        told: where they go, by the request's number. The last step of a request counts: while a
            long prompt is read in pieces, each piece is told, and replaced by the next one.
    """

    class Tap(LogitsProcessor):  # type: ignore[misc]
        def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
            self._numbers: dict[int, int] = {}  # by row of the batch
            self._recorded_ids = torch.tensor(recorded_ids, dtype=torch.int64, device=device)

        def is_argmax_invariant(self) -> bool:
            # True would be true, but vLLM skips such processors for greedy requests.
            return False

        def update_state(self, batch_update: Any) -> None:
            process_dict_updates(
                self._numbers,
                batch_update,
                lambda params, *_: (params.extra_args or {}).get(QUESTION),
            )

        def apply(self, logits: Tensor) -> Tensor:
            if self._numbers:
                rows = list(self._numbers)
                found = read_rows(logits, rows, kept, self._recorded_ids)
                told.update(zip((self._numbers[row] for row in rows), found, strict=True))
            return logits

    return Tap


def read_rows(
    logits: Tensor, rows: Sequence[int], kept: int, recorded_ids: Tensor
) -> list[Continuations]:
    """What the search needs of some rows.

    Args:
        logits: raw logits of the batch, shape ``(batch, vocabulary)``, float32.
        rows: which of them.
        kept: continuations of each row.
        recorded_ids: ids whose raw logits are kept too, shape ``(ids,)``.
    """
    asked = logits[list(rows)]
    best, token_ids = asked.topk(kept)
    columns = (asked.logsumexp(-1), best, token_ids, asked[:, recorded_ids])
    arrays = (column.cpu().numpy() for column in columns)
    return [Continuations(*row) for row in zip(*arrays, strict=True)]
