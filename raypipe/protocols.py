"""The contracts between the stream and its back ends."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from raypipe.labels import LabelSet
from raypipe.records import EmotionTokens, Failure, Generation, Request, Search

Prepared = TypeVar("Prepared")
Taken = TypeVar("Taken", contravariant=True)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can honestly give.

    Attributes:
        beams: true beam search with cumulative log-likelihoods.
        emotion_logits: raw logits of the emotion tokens at every step.
        token_logprobs: log-probabilities of the generated tokens.
    """

    beams: bool
    emotion_logits: bool
    token_logprobs: bool


class Frontend(Protocol[Prepared]):
    """The CPU half of an engine: tokenizer and feature extractor, no weights.

    What it prepares is what its engine takes: token ids and features for a model that runs here
    (:class:`raypipe.records.ModelInput`), a file for an endpoint.
    """

    sampling_rate: int
    """Rate in Hz at which :meth:`prepare` expects its audio."""

    max_duration_s: float
    """Longest clip the model hears whole; a longer one is never cut silently."""

    def prepare(self, requests: Sequence[Request]) -> list[Prepared | Failure]:
        """Turn requests into model inputs: same length, same order, one failure per bad request."""
        ...

    def with_prompt(self, prepared: Prepared, prompt: str) -> Prepared | Failure:
        """The same clip with another prompt; nothing is made of the clip anew."""
        ...

    def emotion_tokens(self, labels: LabelSet) -> EmotionTokens:
        """The sub-tokens of every surface form of every label."""
        ...


class Engine(Protocol[Taken]):
    """The accelerator half: listens and answers."""

    capabilities: Capabilities

    def generate(self, inputs: Sequence[Taken], search: Search) -> list[Generation | Failure]:
        """Answer every input: same length, same order.

        The answer to an input does not depend on its neighbours (up to the rounding of the
        arithmetic, exactly in the order of hypotheses for float32).
        """
        ...

    def audio_cache(self) -> AbstractContextManager[None]:
        """While it lasts, what is worked out of a clip is kept for further questions about it.

        Inputs ask about the same clip if one was made of the other by :meth:`Frontend.with_prompt`.
        """
        ...
