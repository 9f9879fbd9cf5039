"""Examples as token ids, features and labels; the loss mask is made here."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raypipe.audio.decoding import decode
from raypipe.engines.frontend import TransformersFrontend
from raypipe.errors import DecodeError, EngineError, ShardError
from raypipe.finetune.examples import AnswerExample
from raypipe.records import Failure, IntArray, ModelInput, Request
from raypipe.shards.references import clip_bytes

IGNORED = -100
"""Label of a token that is not learnt, as torch's cross entropy leaves it out."""


@dataclass(frozen=True, slots=True)
class EncodedExample:
    """An example as a model reads it.

    Attributes:
        model_input: prompt and answer, with the features of the clip.
        labels: the token ids of the answer and of the end of its turn, where they stand;
            :data:`IGNORED` for every other token. Shape ``(tokens,)``.
        cut_tokens: of the answer, left out to keep within the cutoff.
        clip: file of the clip, or a reference, by which its encoding is found again.
    """

    model_input: ModelInput
    labels: IntArray
    cut_tokens: int
    clip: str

    @property
    def target_count(self) -> int:
        """Tokens that are learnt."""
        return int((self.labels != IGNORED).sum())


class ExampleEncoder:
    """Makes examples ready, by the model's own processor and chat template.

    The user's turn is the one that the engine asks at inference, token by token.

    Args:
        frontend: of the model.
        end_ids: ids that end an answer.
        cutoff: most tokens of a prompt with its answer.

    Raises:
        UnsupportedError: for a chat template that writes no answers after its open turn.
    """

    def __init__(self, frontend: TransformersFrontend, end_ids: Sequence[int], cutoff: int) -> None:
        self._frontend, self._end_ids, self._cutoff = frontend, end_ids, cutoff
        frontend.answer_ids("", end_ids)  # to fail here, once, and not with every example

    def encode(self, example: AnswerExample) -> EncodedExample | Failure:
        """An example made ready, or why it cannot be.

        ``error_type`` is that of the decoder or of the frontend, ``answer_not_written`` for an
        answer that holds control tokens, or ``no_room`` where the prompt fills the cutoff.
        """
        try:
            audio = clip_bytes(example.audio)
            samples = decode(audio, sampling_rate=self._frontend.sampling_rate)
        except DecodeError as error:
            return Failure(example.example_id, "decode", error.code, str(error))
        except ShardError as error:
            return Failure(example.example_id, "read", "no_clip", str(error))
        request = Request(example.example_id, example.instruction, samples)
        (prepared,) = self._frontend.prepare([request])
        if isinstance(prepared, Failure):
            return prepared
        try:
            answer = self._frontend.answer_ids(example.answer, self._end_ids)
        except EngineError as error:
            return Failure(example.example_id, "prompt", "answer_not_written", str(error))
        prompt = prepared.token_ids
        kept = answer[: max(0, self._cutoff - len(prompt))]
        if not len(kept):
            message = f"a prompt of {len(prompt)} tokens leaves none of {self._cutoff} to an answer"
            return Failure(example.example_id, "prompt", "no_room", message)
        return EncodedExample(
            dataclasses.replace(prepared, token_ids=np.concatenate([prompt, kept])),
            np.concatenate([np.full(len(prompt), IGNORED, dtype=np.int64), kept]),
            len(answer) - len(kept),
            example.audio,
        )
