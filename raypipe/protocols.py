"""The contracts between the stream and its back ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from raypipe.labels import LabelSet
from raypipe.records import (
    ClipPlace,
    EmotionTokens,
    Failure,
    Generation,
    Grammar,
    Request,
    Search,
    Turn,
)

Prepared = TypeVar("Prepared")
Taken = TypeVar("Taken", contravariant=True)

CAPABILITY_WORDS: Mapping[str, str] = {
    "beams": "beam search",
    "samples": "sampled answers",
    "hypotheses": "several hypotheses",
    "emotion_logits": "raw logits of emotion tokens",
    "emotion_logprobs": "log-probabilities of emotion tokens",
    "token_logprobs": "log-probabilities",
    "seeded_samples": "samples drawn by a seed",
    "text_scores": "log-likelihoods of given answers",
}
"""What the capabilities with a name of their own are called in messages."""

_NO_TOKENS = EmotionTokens((), (), ())


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can honestly give.

    Attributes:
        beams: true beam search with cumulative log-likelihoods.
        emotion_logits: raw logits of the emotion tokens at every step.
        token_logprobs: log-probabilities of the generated tokens.
        samples: sampled answers, which stand in for beams.
        more: names of further capabilities, for questions that this class does not know of.
    """

    beams: bool
    emotion_logits: bool
    token_logprobs: bool
    samples: bool = False
    more: frozenset[str] = frozenset()

    @property
    def given(self) -> frozenset[str]:
        """Names of all capabilities, those that follow from others included.

        Several ``hypotheses`` are beams or samples; raw logits are as good as ``emotion_logprobs``.

        Example:
            >>> sorted(Capabilities(beams=False, emotion_logits=True, token_logprobs=False).given)
            ['emotion_logits', 'emotion_logprobs']
        """
        named = {
            "beams": self.beams,
            "samples": self.samples,
            "hypotheses": self.beams or self.samples,
            "emotion_logits": self.emotion_logits,
            "emotion_logprobs": self.emotion_logits,
            "token_logprobs": self.token_logprobs,
        }
        return self.more | {name for name, is_given in named.items() if is_given}


@dataclass(frozen=True, slots=True)
class Demand:
    """What a run asks of an engine, known before any work starts.

    Attributes:
        requires: names of capabilities, each with the strategies or questions that need it.
        greedy: whether the greedy hypothesis is asked for.
        beam_counts: beams of each search that asks for several hypotheses.
        grammar: what answers are held to: what the user wrote, or the ``distribution`` over the
            labels; None for anything.
        token_steps: steps that the token strategies average over: ``all`` or ``words``.
        text_only: whether no prompt comes with a clip.
        turns: how its prompts are put.
        clip_places: where its prompts say that the clip is to stand.
        emotion_tokens: tokens whose logits or log-probabilities are to be recorded.
    """

    requires: Mapping[str, tuple[str, ...]]
    greedy: bool = True
    beam_counts: tuple[int, ...] = ()
    grammar: Grammar | Literal["distribution"] | None = None
    token_steps: str = "all"
    text_only: bool = False
    turns: frozenset[Turn] = frozenset({"chat"})
    clip_places: frozenset[ClipPlace] = frozenset()
    emotion_tokens: EmotionTokens = _NO_TOKENS


class Frontend(Protocol[Prepared]):
    """The CPU half of an engine: tokenizer and feature extractor, no weights.

    What it prepares is what its engine takes: token ids and features for a model that runs here
    (:class:`raypipe.records.ModelInput`), a file for an endpoint.
    """

    sampling_rate: int
    """Rate in Hz at which :meth:`prepare` expects its audio."""

    max_duration_s: float
    """Longest clip in seconds that the model takes whole; a longer one is never cut silently."""

    def prepare(self, requests: Sequence[Request]) -> list[Prepared | Failure]:
        """Turn requests into model inputs: same length, same order, one failure per bad request."""
        ...

    def with_prompt(self, prepared: Prepared, prompt: str) -> Prepared | Failure:
        """A model input of the same clip with another prompt; nothing is made of the clip anew."""
        ...

    def emotion_tokens(self, labels: LabelSet) -> EmotionTokens:
        """The sub-tokens of every surface form of every label."""
        ...


class Engine(Protocol[Taken]):
    """The accelerator half of an engine: weights and search."""

    capabilities: Capabilities

    def generate(self, inputs: Sequence[Taken], search: Search) -> list[Generation | Failure]:
        """Answer every input: same length, same order.

        The answer to an input does not depend on its neighbours (up to the rounding of the
        arithmetic, exactly in the order of hypotheses for float32).
        """
        ...

    def audio_cache(self) -> AbstractContextManager[None]:
        """Context in which what is worked out of a clip is kept for further questions about it.

        Inputs ask about the same clip if one was made of the other by :meth:`Frontend.with_prompt`.
        """
        ...


class EngineRequest(Protocol):
    """A request beyond a search: a frozen dataclass that knows which method of an engine to call.

    Attributes:
        capability: name of what an engine must offer to answer it: engines that have it in
            :attr:`Capabilities.more` have the method.
    """

    @property
    def capability(self) -> str:
        """Name of a capability."""
        ...

    def put(self, engine: Any, inputs: Sequence[Any]) -> list[Generation | Failure]:
        """One reply for every input, in their order, from the engine's own method."""
        ...


class RunEngine(Engine[Taken], Protocol):
    """An engine as a run has it: held to its contract, open to requests beyond a search."""

    def answer(self, inputs: Sequence[Taken], request: EngineRequest) -> list[Generation | Failure]:
        """One reply for every input, in their order."""
        ...
