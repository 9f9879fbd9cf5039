"""Answers of an endpoint, checked as strictly as they are used."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raypipe.records import FinishReason

_UNLIKELY = -9998.0
"""OpenAI and vLLM write -9999 for a log-probability they do not tell."""

_FINISH_REASONS: Mapping[str | None, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
    None: "stop",
}


class BadReplyError(Exception):
    """A body with status 200 that is not an answer; asking again may help."""


@dataclass(frozen=True, slots=True)
class TokenStep:
    """One generated token.

    Attributes:
        token: its text, or ``token_id:`` and its id.
        logprob: natural log; None if not told.
        others: log-probabilities of listed tokens by the same kind of name.
    """

    token: str
    logprob: float | None
    others: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer; ``steps`` is None where the endpoint gives no log-probabilities."""

    text: str
    finish_reason: FinishReason
    steps: tuple[TokenStep, ...] | None


@dataclass(frozen=True, slots=True)
class Tokens:
    """Numbers of tokens of an answer, as an endpoint gives them.

    Attributes:
        prompt: of the question, audio included.
        audio: of them, those of the audio; None where they are not told apart.
        output: of the answer, thoughts included.
    """

    prompt: int
    audio: int | None
    output: int


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer; ``tokens`` is None where the endpoint does not count."""

    choices: tuple[Choice, ...]
    tokens: Tokens | None


def read_reply(content: bytes) -> Reply:
    """Read the body of a chat completion.

    Raises:
        BadReplyError: if it is not JSON, cut, an error in disguise, or without a usable choice.
    """
    try:
        document = json.loads(content)
    except ValueError as error:
        raise BadReplyError(f"{len(content)} bytes that are not JSON") from error
    if not isinstance(document, dict):
        raise BadReplyError(f"a JSON {type(document).__name__} instead of an object")
    if document.get("error"):
        raise BadReplyError(f"an error with status 200: {json.dumps(document['error'])[:200]}")
    choices = document.get("choices")
    if not isinstance(choices, list) or not choices:
        raise BadReplyError("no choices")
    try:
        return Reply(tuple(_choice(choice) for choice in choices), _tokens(document.get("usage")))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadReplyError(f"not a chat completion: {type(error).__name__}: {error}") from error


def _choice(choice: Mapping[str, Any]) -> Choice:
    message = choice["message"]
    content, refusal = message.get("content"), message.get("refusal")
    if not isinstance(content, str | None) or not isinstance(refusal, str | None):
        raise TypeError("the content is not a text")
    reason = choice.get("finish_reason")
    if refusal:
        return Choice(refusal, "refusal", None)
    if reason not in _FINISH_REASONS:
        raise ValueError(f"finish_reason {reason!r}")
    logprobs = (choice.get("logprobs") or {}).get("content")
    steps = None if logprobs is None else tuple(_step(entry) for entry in logprobs)
    return Choice(content or "", _FINISH_REASONS[reason], steps)


def _step(entry: Mapping[str, Any]) -> TokenStep:
    listed = {str(other["token"]): _logprob(other) for other in entry.get("top_logprobs") or ()}
    others = {token: value for token, value in listed.items() if value is not None}
    return TokenStep(str(entry["token"]), _logprob(entry), others)


def _logprob(entry: Mapping[str, Any]) -> float | None:
    value = float(entry["logprob"])
    return value if math.isfinite(value) and value > _UNLIKELY else None


def _tokens(usage: Mapping[str, Any] | None) -> Tokens | None:
    if not usage:
        return None
    prompt, completion = int(usage["prompt_tokens"]), int(usage.get("completion_tokens") or 0)
    details = usage.get("prompt_tokens_details") or {}
    # Gemini counts its thoughts in the total only.
    total = int(usage.get("total_tokens") or 0)
    audio = details.get("audio_tokens")
    return Tokens(prompt, None if audio is None else int(audio), max(completion, total - prompt))
