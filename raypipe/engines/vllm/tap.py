"""A vLLM logits processor that reads, and hides from vLLM what a grammar forbids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from vllm.v1.sample.logits_processor import LogitsProcessor
from vllm.v1.sample.logits_processor.builtin import process_dict_updates

from raypipe.engines.grammar import PackedBits
from raypipe.engines.prefix_search import Continuations
from raypipe.engines.vllm.reading import read_rows, with_said
from raypipe.records import IntArray

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
        said: ids that the penalty is for, each once; None without a penalty.
    """

    number: int
    allowed: PackedBits | None
    said: IntArray | None = None


def tap(
    kept: int, recorded_ids: Sequence[int], sink: dict[int, Continuations], repetition: float = 1.0
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
        repetition: factor of the penalty for what questions say was said already.
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
                raw = logits[rows] if repetition != 1.0 else logits  # a copy
                continuations = read_rows(logits, rows, kept, self._recorded_ids, allowed)
                for index, (question, answer) in enumerate(
                    zip(questions, continuations, strict=True)
                ):
                    if question.said is not None:
                        said = torch.from_numpy(question.said).to(logits.device)
                        answer = with_said(
                            answer, raw[index], logits[rows[index]], said, repetition
                        )
                    sink[question.number] = answer
            return logits

    return Tap
