"""The accelerator half: greedy answers and sampled candidates of many inputs at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import openai

from raypipe.config.api import ApiConfig
from raypipe.engines.engine import Folder
from raypipe.engines.openai.cache import ResponseCache
from raypipe.engines.openai.client import AskError, Caller, Health
from raypipe.engines.openai.hypotheses import HypothesisReader
from raypipe.engines.openai.messages import Draw, RequestWriter
from raypipe.engines.openai.presets import api_key, capabilities_of, endpoint_of
from raypipe.engines.openai.replies import Choice, Reply
from raypipe.engines.openai.throttle import Throttle
from raypipe.engines.openai.usage import SpendingAccount
from raypipe.errors import ConfigError, RaypipeError, StoppedError, UnsupportedError, unexpected
from raypipe.records import ChatInput, EmotionTokens, Failure, Generation, Hypothesis, Search

_NO_KEY = "none"  # the client insists on one; servers without keys do not look at it


class OpenAIEngine:
    """Engine that asks an OpenAI-compatible endpoint; needs no accelerator.

    The key is read from the environment of the process that asks, and is kept nowhere else.

    Args:
        model: its name at the endpoint.
        api: the endpoint and how to ask it.
        emotion_tokens: whose log-probabilities are recorded where the endpoint tells them.
        cache: where answers are kept.
        ledger: where the account of what was spent is kept.

    Raises:
        ConfigError: if the endpoint is unknown.
    """

    def __init__(
        self,
        model: str,
        *,
        api: ApiConfig,
        emotion_tokens: EmotionTokens,
        cache: Folder,
        ledger: Folder,
    ) -> None:
        self._api, self._endpoint = api, endpoint_of(api)
        self._writer = RequestWriter(model, self._endpoint, api, emotion_tokens)
        self._reader = HypothesisReader(emotion_tokens, self._endpoint.end_token)
        self._cache = ResponseCache(cache)
        self._account = SpendingAccount(ledger, api.budget, api.prices)
        self._health = Health()
        self.capabilities = capabilities_of(api)

    def audio_cache(self) -> AbstractContextManager[None]:
        """Context without effect: an endpoint is sent the clip with every question."""
        return nullcontext()

    def generate(self, inputs: Sequence[ChatInput], search: Search) -> list[Generation | Failure]:
        """Answer every input: same length, same order; samples stand in for beams.

        An input without an answer to every request becomes a failure; what was answered is in the
        cache. A failure's ``error_type`` is ``rate_limited``, ``server_error``, ``timeout``,
        ``connection``, ``bad_reply`` or ``refused_request``.

        Raises:
            UnsupportedError: for a regular expression as the grammar; endpoints take a schema.
            StoppedError: if the budget is used up, the endpoint refuses every request or the key
                is missing here; requests that were under way are answered and cached first.
        """
        if search.grammar is not None and search.grammar.kind != "json_schema":
            raise UnsupportedError("endpoints take a JSON schema as the grammar, nothing else")
        try:
            key = api_key(self._endpoint)
        except ConfigError as error:
            raise StoppedError(f"{error}, at least on the node that asks the endpoint") from error
        return asyncio.run(self._generate(inputs, search, key))

    async def _generate(
        self, inputs: Sequence[ChatInput], search: Search, key: str | None
    ) -> list[Generation | Failure]:
        throttle = Throttle(self._api.concurrency, self._health.limit)
        client = openai.AsyncOpenAI(
            api_key=key or _NO_KEY,
            base_url=self._endpoint.base_url,
            max_retries=0,
            timeout=self._api.timeout_s,
        )
        try:
            async with client:
                caller = Caller(client, self._api, throttle, self._account, self._health, key)
                # Bounded beyond the throttle: each open utterance holds its clip in base64.
                places = asyncio.Semaphore(2 * self._api.concurrency)
                answers = await asyncio.gather(
                    *(self._answer(chat_input, search, caller, places) for chat_input in inputs),
                    return_exceptions=True,
                )
        finally:
            self._health.limit = throttle.limit
            await asyncio.to_thread(self._account.write)
        return _settled(answers)

    async def _answer(
        self, chat_input: ChatInput, search: Search, caller: Caller, places: asyncio.Semaphore
    ) -> Generation | Failure:
        async with places:
            try:
                return await self._hypotheses(chat_input, search, caller)
            except AskError as error:
                return Failure(chat_input.utterance_id, "engine", error.error_type, str(error))
            except RaypipeError:
                raise
            except Exception as error:  # about a reply that nobody foresaw
                return Failure(chat_input.utterance_id, "engine", *unexpected(error))

    async def _hypotheses(
        self, chat_input: ChatInput, search: Search, caller: Caller
    ) -> Generation:
        hypotheses: list[Hypothesis] = []
        replies: list[Reply] = []
        if search.greedy:
            reply = await self._ask(
                chat_input, search, Draw(greedy=True, count=1, number=0), caller
            )
            replies.append(reply)
            hypotheses.append(self._reader.greedy(reply.choices[0]))
        choices: list[Choice] = []
        while len(choices) < search.beam_count:
            count = min(search.beam_count - len(choices), self._endpoint.candidates)
            # An endpoint may give fewer than asked for; every reply has one at least.
            draw = Draw(greedy=False, count=count, number=len(choices) + 1)
            reply = await self._ask(chat_input, search, draw, caller)
            replies.append(reply)
            choices.extend(reply.choices[:count])
        hypotheses.extend(self._reader.samples(choices))
        counted = [reply.tokens for reply in replies if reply.tokens is not None]
        return Generation(
            chat_input.utterance_id,
            tuple(hypotheses),
            prompt_tokens=counted[0].prompt if counted else None,
            audio_tokens=counted[0].audio if counted else None,
        )

    async def _ask(
        self, chat_input: ChatInput, search: Search, draw: Draw, caller: Caller
    ) -> Reply:
        body = self._writer.body(chat_input, search, draw)
        name = self._writer.name(body, draw)
        known = await asyncio.to_thread(self._cache.find, name)
        if known is not None:
            self._account.spent.cached += 1
            return known
        longest = search.max_new_tokens + self._endpoint.reasoning_tokens
        reply, content = await caller.ask(body, draw.count * longest)
        return await asyncio.to_thread(self._cache.keep, name, content, reply)


def _settled(
    answers: Sequence[Generation | Failure | BaseException],
) -> list[Generation | Failure]:
    """The answers; raises the first error that is not one utterance's own, a stop before others."""
    errors = [answer for answer in answers if isinstance(answer, BaseException)]
    for error in sorted(errors, key=lambda error: not isinstance(error, StoppedError)):
        raise error
    return [answer for answer in answers if not isinstance(answer, BaseException)]
