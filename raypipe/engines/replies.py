"""Settings, hypotheses and failures of the engines that search in their own process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from raypipe.engines.lanes import Trace
from raypipe.errors import ConfigError
from raypipe.records import Failure, Generation, Hypothesis, ModelInput

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

DTYPES = ("float32", "bfloat16", "float16")
"""Arithmetic that the weights may have."""

_LONGEST_MESSAGE = 500


def check_settings(batch_size: int, dtype: str) -> None:
    """Refuse settings of an engine that are not known.

    Raises:
        ConfigError: naming the setting and its value.
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size {batch_size} must be at least 1")
    if dtype not in DTYPES:
        raise ConfigError(f"unknown dtype {dtype!r}; known: {', '.join(DTYPES)}")


def hypothesis(trace: Trace, tokenizer: PreTrainedTokenizerBase) -> Hypothesis:
    """A trace written out as text, without special tokens."""
    return Hypothesis(
        kind=trace.kind,
        rank=trace.rank,
        text=tokenizer.decode(trace.token_ids, skip_special_tokens=True),
        token_ids=trace.token_ids,
        token_logprobs=trace.token_logprobs,
        alpha=trace.alpha,
        finish_reason=trace.finish_reason,
        emotion_logits=trace.emotion_logits,
        search_score=trace.search_score,
    )


def with_texts(reply: Generation | Failure, texts: Sequence[str]) -> Generation | Failure:
    """A reply whose hypotheses say the very texts that were asked about."""
    if isinstance(reply, Failure):
        return reply
    pairs = zip(reply.hypotheses, texts, strict=True)
    return replace(reply, hypotheses=tuple(replace(item, text=text) for item, text in pairs))


def as_drawn(reply: Generation | Failure) -> Generation | Failure:
    """A reply whose hypotheses say that they were sampled."""
    if isinstance(reply, Failure):
        return reply
    drawn = tuple(replace(item, sampled=True) for item in reply.hypotheses)
    return replace(reply, hypotheses=drawn)


def failure(model_input: ModelInput, error_type: str, message: str) -> Failure:
    """Failure of an input that the engine could not answer; a long message is cut."""
    return Failure(model_input.utterance_id, "engine", error_type, message[:_LONGEST_MESSAGE])
