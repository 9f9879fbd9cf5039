"""Options of the engine ``openai``: the ``model.api`` section of a config.

A key never stands here, only the name of the environment variable that holds it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from raypipe.config.base import ConfigSection
from raypipe.config.engine_options import PluginOptions
from raypipe.config.values import PathText

AudioPart = Literal["input_audio", "audio_url"]
AudioFormat = Literal["wav", "flac"]

# Fields of a request that the other settings decide.
_OWN_FIELDS = frozenset(
    {
        "model",
        "messages",
        "stream",
        "n",
        "temperature",
        "top_p",
        "seed",
        "max_tokens",
        "max_completion_tokens",
        "logprobs",
        "top_logprobs",
        "logprob_token_ids",
        "return_tokens_as_token_ids",
        "response_format",
    }
)


class OffersConfig(ConfigSection):
    """Abilities of the endpoint, where the preset does not know them or is out of date.

    Attributes:
        candidates: most answers to one request (``n``).
        logprobs: log-probabilities of the generated tokens.
        top_logprobs: most alternatives listed at every step; 0 for none.
        token_ids: log-probabilities of chosen token ids (``logprob_token_ids`` of vLLM).
        end_token: whether the token that ends an answer is among the log-probabilities.
        json_schema: answers held to a JSON schema.
        seed: a seed for sampling.
        audio: form of the audio part of a message.
        audio_formats: encodings it reads.
    """

    candidates: int | None = Field(default=None, ge=1)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0)
    token_ids: bool | None = None
    end_token: bool | None = None
    json_schema: bool | None = None
    seed: bool | None = None
    audio: AudioPart | None = None
    audio_formats: tuple[AudioFormat, ...] | None = None


_OF_A_KEY = re.compile(
    r"(extra)?headers|(proxy)?authorization|bearer|cookie|token|(auth|access|id|refresh)token"
    r"|.*(apikey|accesskey|privatekey|secret|secretkey|password|passwd|credentials?)"
)
"""Names of a request's fields whose values are for nobody else, without marks and in lower case."""


def _holds_a_key(value: object) -> bool:
    """Whether something in a request is called as a key is, or is sent as one."""
    if isinstance(value, Mapping):
        names = (re.sub("[^a-z]", "", str(name).lower()) for name in value)
        return any(map(_OF_A_KEY.fullmatch, names)) or any(map(_holds_a_key, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_holds_a_key, value))
    return isinstance(value, str) and value.lower().startswith(("bearer ", "basic "))


class PricesConfig(ConfigSection):
    """Prices of a million tokens, in any one currency.

    Attributes:
        input: of the prompt.
        output: of the answer, thinking included.
        audio: of the audio inside the prompt; None for the same as ``input``.
    """

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    audio: float | None = Field(default=None, ge=0)


class BudgetConfig(ConfigSection):
    """Most that a run may spend over all its attempts; it then stops and can be continued.

    Attributes:
        requests: requests sent, repetitions included; answers from the cache are free.
        cost: in the currency of the prices. A request is only sent if what it may cost at most
            still fits, as far as earlier ones tell.
    """

    requests: int | None = Field(default=None, ge=0)
    cost: float | None = Field(default=None, ge=0)


class ApiConfig(PluginOptions):
    """An OpenAI-compatible endpoint.

    Attributes:
        preset: name of an endpoint in :data:`raypipe.engines.openai.presets.PRESETS`.
        base_url: where it is; default: the preset's.
        key_variable: name of the environment variable that holds the key; default: the preset's.
        offers: corrections to what the preset says the endpoint can do.
        audio_format: lossless encoding the clips are sent in, with 16 bits.
        sampling_rate: the clips are sent at, in Hz.
        max_duration_s: longest clip in seconds that the model takes whole; default: the preset's.
        tokenizer: ``tiny-alm``, a folder or a hub id: the model's tokenizer, which is needed to
            record log-probabilities of emotion words; None records none.
        temperature: of the sampled candidates; the greedy answer always has 0.
        top_p: of the sampled candidates.
        seed: of the sampled candidates, where the endpoint takes one.
        reasoning_tokens: room for thinking on top of ``max_new_tokens``; default: the preset's.
        extra: further fields of every request, for example ``reasoning_effort``.
        concurrency: most requests in flight per actor; it is lowered while the endpoint is
            overloaded.
        attempts: most times one request is sent.
        timeout_s: longest wait for one answer.
        first_wait_s: back-off before the first repetition; it doubles every time.
        longest_wait_s: most that a back-off or the endpoint's ``Retry-After`` can ask for.
        cache: folder or ``s3://`` prefix of the answers; default: ``api_cache`` in the output.
        prices: needed for a cost to be counted.
        budget: None for no limit.
    """

    preset: str = "custom"
    base_url: str | None = None
    key_variable: str | None = None
    offers: OffersConfig = OffersConfig()
    audio_format: AudioFormat = "wav"
    sampling_rate: int = Field(default=16_000, ge=8_000, le=48_000)
    max_duration_s: float | None = Field(default=None, gt=0)
    tokenizer: PathText | None = None
    temperature: float = Field(default=1.0, gt=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    seed: int = Field(default=0, ge=0)
    reasoning_tokens: int | None = Field(default=None, ge=0)
    extra: dict[str, object] = Field(default_factory=dict)
    concurrency: int = Field(default=16, ge=1, le=1000)
    attempts: int = Field(default=8, ge=1)
    timeout_s: float = Field(default=120.0, gt=0)
    first_wait_s: float = Field(default=0.5, gt=0)
    longest_wait_s: float = Field(default=60.0, gt=0)
    cache: PathText | None = None
    prices: PricesConfig | None = None
    budget: BudgetConfig | None = None

    @field_validator("base_url")
    @classmethod
    def _plain_url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("is not an http(s):// URL with a host")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError("holds more than an address; a key belongs in the environment")
        return url

    @field_validator("key_variable")
    @classmethod
    def _name_of_a_variable(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(r"[A-Z_][A-Z0-9_]{0,63}", name):
            raise ValueError("is the name of an environment variable, in capitals, not a key")
        return name

    @field_validator("extra")
    @classmethod
    def _nothing_decided_elsewhere(cls, extra: dict[str, object]) -> dict[str, object]:
        if taken := sorted(_OWN_FIELDS & set(extra)):
            raise ValueError(f"{taken} have settings of their own")
        if _holds_a_key(extra):
            raise ValueError(
                "holds what seems a key: requests are recorded; key_variable names the environment "
                "variable that holds it"
            )
        return extra

    @model_validator(mode="after")
    def _costs_can_be_counted(self) -> Self:
        if self.budget is not None and self.budget.cost is not None and self.prices is None:
            raise ValueError("a budget in money needs prices")
        return self

    def identity(self) -> dict[str, object]:
        """The settings that can change an answer: not where it comes from, nor how fast.

        What the preset and its corrections amount to is part of the model's fingerprint.
        """
        return self.model_dump(
            mode="json",
            include={
                "audio_format",
                "sampling_rate",
                "tokenizer",
                "temperature",
                "top_p",
                "seed",
                "extra",
            },
        )
