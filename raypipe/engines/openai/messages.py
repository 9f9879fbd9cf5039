"""Bodies of requests, and the names of their answers in the cache."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from raypipe.config.api import ApiConfig
from raypipe.engines.openai.presets import Endpoint
from raypipe.records import ChatInput, EmotionTokens, Grammar, Search

_MIME_TYPES = {"wav": "audio/wav", "flac": "audio/flac"}


@dataclass(frozen=True, slots=True)
class Draw:
    """One request for some of an utterance's hypotheses.

    Attributes:
        greedy: at temperature 0 instead of sampling.
        count: answers asked for.
        number: which of the utterance's requests it is, from 0.
    """

    greedy: bool
    count: int
    number: int


class RequestWriter:
    """Writer of the requests of one run.

    Args:
        model: its name at the endpoint.
        endpoint: what may be asked.
        api: how to sample.
        emotion_tokens: whose log-probabilities are asked for; may be empty.
    """

    def __init__(
        self,
        model: str,
        endpoint: Endpoint,
        api: ApiConfig,
        emotion_tokens: EmotionTokens,
    ) -> None:
        self._endpoint, self._api = endpoint, api
        self._fixed: dict[str, object] = {
            **api.extra,
            "model": model,
            **_logprob_fields(endpoint, emotion_tokens),
        }

    def body(self, chat_input: ChatInput, search: Search, draw: Draw) -> dict[str, object]:
        """The JSON body of a request."""
        body = {**self._fixed, "messages": [self._message(chat_input)]}
        body[self._endpoint.limit_field] = search.max_new_tokens + self._endpoint.reasoning_tokens
        if search.grammar is not None:
            body["response_format"] = _response_format(search.grammar)
        body["temperature"] = 0.0 if draw.greedy else self._api.temperature
        if not draw.greedy and self._api.top_p < 1.0:
            body["top_p"] = self._api.top_p
        if draw.count > 1:
            body["n"] = draw.count
        if self._endpoint.seed:
            body["seed"] = _seed(self._api.seed, chat_input.utterance_id, draw.number)
        return body

    def name(self, body: Mapping[str, object], draw: Draw) -> str:
        """Name of the answer in the cache: a digest of all that was asked, and of whom.

        Without a seed two draws of one utterance have the same body; their number tells them
        apart.
        """
        asked = [self._endpoint.base_url, body, draw.number]
        digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        return f"{digest[:2]}/{digest}.json"

    def _message(self, chat_input: ChatInput) -> dict[str, object]:
        if chat_input.audio is None:
            return {"role": "user", "content": chat_input.prompt}
        data = base64.b64encode(chat_input.audio).decode("ascii")
        value: dict[str, str] = {"data": data, "format": chat_input.audio_format}
        if self._endpoint.audio == "audio_url":
            value = {"url": f"data:{_MIME_TYPES[chat_input.audio_format]};base64,{data}"}
        part = {"type": self._endpoint.audio, self._endpoint.audio: value}
        return {"role": "user", "content": [part, {"type": "text", "text": chat_input.prompt}]}


def _response_format(grammar: Grammar) -> dict[str, object]:
    schema = json.loads(grammar.source)
    return {
        "type": "json_schema",
        "json_schema": {"name": "answer", "strict": True, "schema": schema},
    }


def _logprob_fields(endpoint: Endpoint, tokens: EmotionTokens) -> dict[str, object]:
    if not endpoint.logprobs:
        return {}
    if tokens.token_ids and endpoint.token_ids:
        return {
            "logprobs": True,
            "logprob_token_ids": list(tokens.token_ids),
            "return_tokens_as_token_ids": True,
        }
    if tokens.token_ids and endpoint.top_logprobs:
        return {"logprobs": True, "top_logprobs": endpoint.top_logprobs}
    return {"logprobs": True}


def _seed(seed: int, utterance_id: str, number: int) -> int:
    digest = hashlib.sha256(f"{seed}:{number}:{utterance_id}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1  # some endpoints take 31 bits
