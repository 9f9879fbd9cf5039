"""A vLLM logits processor that reads, and hides from vLLM what a grammar forbids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from vllm.v1.sample.logits_processor import LogitsProcessor
from vllm.v1.sample.logits_processor.builtin import process_dict_updates

from raypipe.engines.grammar import PackedBits
from raypipe.engines.grammar_lanes import masked
from raypipe.engines.prefix_search import Continuations

if TYPE_CHECKING:
    from vllm.config import VllmConfig
    from vllm.v1.sample.logits_processor import BatchUpdate

QUESTION = "raypipe_question"
"""Name of the extra argument that marks a request: a :class:`PrefixQuestion`."""


@dataclass(frozen=True, slots=True)
class PrefixQuestion:
    """Prefix whose continuations a request is for.

    Attributes:
        number: its own.
        allowed: the tokens that may come next; None for all.
    """

    number: int
    allowed: PackedBits | None


def tap(
    kept: int, recorded_ids: Sequence[int], sink: dict[int, Continuations]
) -> type[LogitsProcessor]:
    """A logits processor class for one engine, to be handed to vLLM.

    vLLM constructs it in the process it runs its model in. Here that is this process, so what is
    read goes straight into ``sink``: no limit on the number of tokens (vLLM's own door for the
    log-probabilities of chosen tokens has one, of 128). The logits are only touched where a grammar
    forbids tokens, so that vLLM chooses among the same ones.

    Args:
        kept: continuations read of each request, at most the vocabulary.
        recorded_ids: ids whose raw logits are read too.
        sink: where they go, by the request's number. The last step of a request counts: while a
            long prompt is read in pieces, each piece is read, and replaced by the next one.
    """

    class Tap(LogitsProcessor):  # type: ignore[misc]
        def __init__(
            self, vllm_config: VllmConfig, device: torch.device, is_pin_memory: bool
        ) -> None:
            self._questions: dict[int, PrefixQuestion] = {}  # by row of the batch
            self._recorded_ids = torch.tensor(recorded_ids, dtype=torch.int64, device=device)

        def is_argmax_invariant(self) -> bool:
            # True would be true, but vLLM skips such processors for greedy requests.
            return False

        def update_state(self, batch_update: BatchUpdate | None) -> None:
            process_dict_updates(
                self._questions,
                batch_update,
                lambda params, *_: (params.extra_args or {}).get(QUESTION),
            )

        def apply(self, logits: Tensor) -> Tensor:
            if self._questions:
                rows, questions = list(self._questions), list(self._questions.values())
                allowed = [question.allowed for question in questions]
                continuations = read_rows(logits, rows, kept, self._recorded_ids, allowed)
                sink.update(
                    zip((question.number for question in questions), continuations, strict=True)
                )
            return logits

    return Tap


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
