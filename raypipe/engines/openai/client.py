"""Requests sent through the official client, repeated with back-off.

Repeated are overload (408, 409, 429, 5xx), timeouts, broken connections and bodies that are no
answer. A request that the endpoint refuses for what is in it (other 4xx) fails at once, alone. A
refused key, an unknown model, a spent quota or an endpoint that does not answer any more would fail
every utterance alike: the run stops.
"""

from __future__ import annotations

import asyncio
import email.utils
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import openai

from raypipe.config.api import ApiConfig
from raypipe.engines.openai.replies import BadReplyError, Reply, read_reply, valid_text
from raypipe.engines.openai.throttle import Throttle
from raypipe.engines.openai.usage import SpendingAccount
from raypipe.errors import StoppedError

_REPEATED = frozenset({408, 409, 425, 429})
_OVERLOAD = frozenset({429, 502, 503, 504, 529})
_HOPELESS = frozenset({401, 403, 404})
_SPENT_QUOTA = "insufficient_quota"
_GIVE_UP_AFTER = 16
"""Requests in a row that got no answer in all their attempts."""


class AskError(Exception):
    """Error of a request that got no answer.

    Args:
        error_type: short stable name of the last reason.
        message: the last reason and the number of attempts, without the key.
    """

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.error_type = error_type


@dataclass(slots=True)
class Health:
    """State of an endpoint, kept beyond an event loop.

    Attributes:
        limit: requests in flight that it bore last; None before the first.
        unanswered: requests in a row that got no answer in all their attempts.
    """

    limit: float | None = None
    unanswered: int = 0


@dataclass(frozen=True, slots=True)
class _AttemptFailure:
    """Reason why one attempt failed.

    Attributes:
        retryable: whether another attempt may help.
        overload: whether the endpoint has too much to do.
        wait_s: how long it asked to be left alone; None if it did not say.
        billed: whether it worked all the same.
    """

    error_type: str
    message: str
    retryable: bool
    overload: bool = False
    wait_s: float | None = None
    billed: bool = False


class Caller:
    """Sender of the requests of one call of the engine, in one event loop.

    Args:
        client: the official client, without repetitions of its own.
        api: attempts, waits and timeouts.
        throttle: how many may be in flight.
        account: what is spent.
        health: how the endpoint is doing.
        key: never to be repeated in a message or a cached body.
    """

    def __init__(
        self,
        client: openai.AsyncOpenAI,
        api: ApiConfig,
        throttle: Throttle,
        account: SpendingAccount,
        health: Health,
        key: str | None,
    ) -> None:
        self._client, self._api, self._throttle = client, api, throttle
        self._account, self._health, self._key = account, health, key
        self._stop: StoppedError | None = None

    async def ask(self, body: Mapping[str, object], output_tokens: int) -> tuple[Reply, bytes]:
        """Send a request until it is answered.

        Args:
            body: of the request.
            output_tokens: most tokens it can be answered with.

        Returns:
            The answer, and its body as it may be kept.

        Raises:
            AskError: after the last attempt, with its reason.
            StoppedError: if the budget or the endpoint's patience is at an end.
        """
        reason = None
        for attempt in range(self._api.attempts):
            if reason is not None:
                await asyncio.sleep(self._wait_s(attempt, reason))
            answer = await self._attempt(body, output_tokens)
            if not isinstance(answer, _AttemptFailure):
                self._health.unanswered = 0
                return answer
            reason = answer
            if not reason.retryable:
                break
        assert reason is not None  # attempts >= 1
        self._note_unanswered(reason)
        times = "1 attempt" if attempt == 0 else f"{attempt + 1} attempts"
        raise AskError(reason.error_type, f"no answer after {times}; last: {reason.message}")

    def _note_unanswered(self, reason: _AttemptFailure) -> None:
        """Stop before a corpus full of errors is written because a server is down."""
        self._health.unanswered = self._health.unanswered + 1 if reason.retryable else 0
        if self._health.unanswered >= _GIVE_UP_AFTER:
            self._stop = StoppedError(
                f"the endpoint left {self._health.unanswered} requests in a row without an "
                f"answer, each in {self._api.attempts} attempts; last: {reason.message}. What is "
                "done is committed, the same command continues"
            )
            self._health.unanswered = 0
            raise self._stop

    def _wait_s(self, attempt: int, reason: _AttemptFailure) -> float:
        """Exponential back-off with jitter, and not before the endpoint asked to be back."""
        ceiling = min(self._api.first_wait_s * 2.0 ** (attempt - 1), self._api.longest_wait_s)
        return (reason.wait_s or 0.0) + random.uniform(0.5, 1.0) * ceiling

    async def _attempt(
        self, body: Mapping[str, object], output_tokens: int
    ) -> tuple[Reply, bytes] | _AttemptFailure:
        async with self._throttle.slot() as started:
            if self._stop is not None:
                raise self._stop
            try:
                outcome = await self._send_on_account(body, output_tokens)
            except StoppedError as error:
                self._stop = error  # what else waits would be refused alike
                raise
            if isinstance(outcome, _AttemptFailure) and outcome.overload:
                self._throttle.overloaded(started, outcome.wait_s or 0.0)
            elif not isinstance(outcome, _AttemptFailure):
                self._throttle.succeeded()
            return outcome

    async def _send_on_account(
        self, body: Mapping[str, object], output_tokens: int
    ) -> tuple[Reply, bytes] | _AttemptFailure:
        expected = self._account.open_request(output_tokens)
        outcome: tuple[Reply, bytes] | _AttemptFailure | None = None
        try:
            outcome = await self._send(body)
        finally:
            tokens = outcome[0].tokens if isinstance(outcome, tuple) else None
            answered = isinstance(outcome, tuple) or (outcome is not None and outcome.billed)
            self._account.close_request(expected, tokens, answered=answered)
        if self._account.is_due():
            await asyncio.to_thread(self._account.write)
        return outcome

    async def _send(self, body: Mapping[str, Any]) -> tuple[Reply, bytes] | _AttemptFailure:
        rest = {name: value for name, value in body.items() if name not in ("model", "messages")}
        try:
            async with asyncio.timeout(self._api.timeout_s):
                response = await self._client.chat.completions.with_raw_response.create(
                    model=body["model"], messages=body["messages"], extra_body=rest
                )
            content = self._without_key(response.content)
            return read_reply(content), content
        except BadReplyError as error:
            return _AttemptFailure("bad_reply", f"the body is {error}", retryable=True, billed=True)
        except openai.APIStatusError as error:
            return self._refused(error)
        except (openai.APITimeoutError, TimeoutError):
            message = f"no answer within {self._api.timeout_s:g} s"
            return _AttemptFailure("timeout", message, retryable=True, overload=True, billed=True)
        except openai.APIConnectionError as error:
            cause = type(error.__cause__ or error).__name__
            return _AttemptFailure("connection", f"the connection broke ({cause})", retryable=True)

    def _refused(self, error: openai.APIStatusError) -> _AttemptFailure:
        status = error.status_code
        if status in _HOPELESS:
            # The body is left out: endpoints like to repeat a part of the key they refuse.
            raise StoppedError(
                f"the endpoint refuses every request with HTTP {status}: the key, the model's name "
                "or the address is wrong. What is done is committed, the same command continues"
            )
        detail = self._short(error)
        if error.code == _SPENT_QUOTA:
            raise StoppedError(
                f"the endpoint's quota is spent (HTTP {status}: {detail}); what is done is "
                "committed, the same command continues"
            )
        message = f"HTTP {status}: {detail}" if detail else f"HTTP {status}"
        if status not in _REPEATED and status < 500:
            return _AttemptFailure("refused_request", message, retryable=False)
        error_type = "rate_limited" if status == 429 else "server_error"
        wait_s = retry_after_s(error.response.headers, self._api.longest_wait_s)
        return _AttemptFailure(error_type, message, True, status in _OVERLOAD, wait_s)

    def _short(self, error: openai.APIStatusError) -> str:
        body = error.body
        detail = body.get("message") if isinstance(body, dict) else None
        return self._without_key(valid_text(str(detail or "")).encode()).decode()[:200]

    def _without_key(self, content: bytes) -> bytes:
        return content if self._key is None else content.replace(self._key.encode(), b"[key]")


def retry_after_s(headers: Mapping[str, str], longest_s: float) -> float | None:
    """Seconds an endpoint asks to wait, in either form of ``Retry-After``; None if it does not.

    Example:
        >>> retry_after_s({"retry-after": "2.5"}, 60.0), retry_after_s({"retry-after": "x"}, 60.0)
        (2.5, None)
    """
    value = headers.get("retry-after-ms")
    try:
        if value is not None:
            wait_s = float(value) / 1000.0
        else:
            value = headers.get("retry-after", "")
            wait_s = float(value)
    except ValueError:
        date = email.utils.parsedate_tz(str(value))
        if date is None:
            return None
        wait_s = email.utils.mktime_tz(date) - time.time()
    return min(max(wait_s, 0.0), longest_s) if wait_s == wait_s else None
