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

_FINISH_REASONS: Mapping[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "max_new_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "prohibited_content": "content_filter",
    "recitation": "content_filter",
    "refusal": "refusal",
}
"""What servers write, in lower case; any other word or none ends an answer as ``stop`` does."""

_BROKEN_OFF = ("error", "abort")
"""Finish reasons of an answer that the server itself did not finish."""

_THOUGHTS = ("thinking", "reasoning", "redacted_thinking")


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
    except (ValueError, RecursionError) as error:
        raise BadReplyError(f"{len(content)} bytes that are not JSON") from error
    if not isinstance(document, dict):
        raise BadReplyError(f"a JSON {type(document).__name__} instead of an object")
    if document.get("error"):
        raise BadReplyError(f"an error with status 200: {json.dumps(document['error'])[:200]}")
    choices = document.get("choices")
    if not isinstance(choices, list) or not choices:
        raise BadReplyError("no choices")
    try:
        return Reply(tuple(map(_choice, _by_index(choices))), _tokens(document.get("usage")))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadReplyError(f"not a chat completion: {type(error).__name__}: {error}") from error


def _by_index(choices: list[Any]) -> list[Any]:
    """Choices in the order of their indices, those without one after the others as listed."""
    return sorted(choices, key=lambda choice: _index(choice.get("index")))


def _index(value: object) -> float:
    """An index, which some servers write as a text or with a point; infinity for what is none."""
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    number = _number(value)
    return math.inf if number is None else number


def _choice(choice: Mapping[str, Any]) -> Choice:
    message = choice["message"]
    reason = str(choice.get("finish_reason") or "stop").strip().lower()
    if reason in _BROKEN_OFF:
        raise ValueError(f"finish_reason {reason!r}")
    ended = _FINISH_REASONS.get(reason, "stop")
    if message is None and ended == "content_filter":
        return Choice("", ended, None)
    refusal = message.get("refusal")
    if not isinstance(refusal, str | None):
        raise TypeError("the refusal is not a text")
    if refusal:
        return Choice(valid_text(refusal), "refusal", None)
    text = _text(message.get("content"))
    audio = message.get("audio")
    if not text.strip() and isinstance(audio, dict):  # an answer that is spoken, with what it says
        text = _text(audio.get("transcript")) or text
    logprobs = choice.get("logprobs")
    steps = logprobs.get("content") if isinstance(logprobs, dict) else None
    return Choice(
        valid_text(text),
        ended,
        None if steps is None else tuple(_step(entry) for entry in steps),
    )


def _text(content: object) -> str:
    """Text of a message's content: a text, a part, or a list of parts of which the texts count."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, dict):
        return _part(content)
    if not isinstance(content, list):
        raise TypeError("the content is not a text")
    return "".join(_part(part) for part in content)


def _part(part: object) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        raise TypeError("a part of the content is not a text")
    text = part.get("text")
    return text if isinstance(text, str) and part.get("type") not in _THOUGHTS else ""


def valid_text(text: str) -> str:
    """A text that any table takes: halves of surrogate pairs become U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _step(entry: Mapping[str, Any]) -> TokenStep:
    listed = {str(other["token"]): _logprob(other) for other in entry.get("top_logprobs") or ()}
    others = {token: value for token, value in listed.items() if value is not None}
    return TokenStep(str(entry["token"]), _logprob(entry), others)


def _logprob(entry: Mapping[str, Any]) -> float | None:
    if entry["logprob"] is None:
        return None
    value = float(entry["logprob"])
    return value if math.isfinite(value) and value > _UNLIKELY else None


def _tokens(usage: object) -> Tokens | None:
    """Numbers of tokens; None if the endpoint leaves out those of question or answer."""
    if not isinstance(usage, dict):
        return None
    prompt, completion = (
        _number(usage.get("prompt_tokens")),
        _number(usage.get("completion_tokens")),
    )
    total = _number(usage.get("total_tokens"))
    if prompt is None or (completion is None and total is None):
        return None
    details = usage.get("prompt_tokens_details")
    audio = _number(details.get("audio_tokens")) if isinstance(details, dict) else None
    # Gemini counts its thoughts in the total only.
    return Tokens(prompt, audio, max(completion or 0, (total or 0) - prompt))


def _number(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value % 1:
        return None
    return int(value)
