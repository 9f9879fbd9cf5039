"""An engine that survives what an utterance does to it: a poison utterance is found and set aside.

The engine lives in a process of its own. A call that raises, ends that process or takes too long is
asked again in parts, on a fresh process if need be, until the utterance that does it is alone. That
one becomes a failure with its reason; all others are answered.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain, groupby

from raypipe.config import RunConfig
from raypipe.engines.contract import CheckedEngine, Tagged
from raypipe.errors import (
    CallError,
    EngineError,
    LostEngineError,
    ProcessEndedError,
    ProcessKilledError,
    UnsupportedError,
)
from raypipe.isolation.child_process import ChildProcess
from raypipe.protocols import Capabilities, EngineRequest
from raypipe.records import EmotionTokens, Failure, Generation, Search
from raypipe.runtime.infer.hosts import Host, HostedEngine, OwnProcess, RenewedHost, failure_of
from raypipe.runtime.infer.models import make_engine, models_awaited
from raypipe.runtime.infer.narrowing import narrowed

MOST_ENDS = 12
"""Ends of its process in succession after which an engine has to answer what it answered before."""
MOST_VAIN_DOUBTS = 5
"""Fresh processes in succession after which an engine's exceptions are taken for what they say."""

_logger = logging.getLogger(__name__)


def run_engine(
    config: RunConfig, emotion_tokens: EmotionTokens, searches: Sequence[Search]
) -> SupervisedEngine:
    """The accelerator half of a run's engine, in a process of its own unless told otherwise.

    One that asks an endpoint is in this process: no model of its own could end it.

    Args:
        config: of the run.
        emotion_tokens: that are recorded.
        searches: all that it will be asked for.

    Raises:
        LostEngineError: if its process ends while the model is loaded.
        RaypipeError: if the model cannot be loaded.
    """
    resources = config.resources
    make = partial(HostedEngine, partial(_planned_engine, config, emotion_tokens, searches))
    start: Callable[[], Host] = partial(OwnProcess, make)
    if has_own_process(config):
        start = partial(
            ChildProcess,
            make,
            memory_gb=resources.engine_memory_gb,
            load_limit_s=resources.load_timeout_s,
        )
    return SupervisedEngine(start, resources.call_timeout_s)


def has_own_process(config: RunConfig) -> bool:
    """Whether a run's engine lives in a process of its own."""
    return config.resources.isolate and config.model.api is None


def _planned_engine(
    config: RunConfig, emotion_tokens: EmotionTokens, searches: Sequence[Search]
) -> CheckedEngine:
    """The engine of a run whose plan has reached its files."""
    with models_awaited(config):
        return make_engine(config, emotion_tokens, searches)


class SupervisedEngine:
    """An engine of a run whose calls come to an end, and fail for single utterances only.

    Args:
        start: loads it.
        limit_s: seconds that a call may take; one about a part of its utterances less, in
            proportion, but an eighth at least.

    Attributes:
        capabilities: of the engine.

    Raises:
        LostEngineError: if its process ends while the model is loaded.
        RaypipeError: if the model cannot be loaded.
    """

    capabilities: Capabilities

    def __init__(self, start: Callable[[], Host], limit_s: float) -> None:
        self._limit_s = limit_s
        self._has_cache = False
        self._ends: list[ProcessEndedError] = []
        """Of its process, since it last answered."""
        self._ended_over = ""
        """What it was asked about the last time, in words."""
        self._is_doubtful = False
        """Whether its last call raised: something of that may be left in its process."""
        self._vain_doubts = 0
        """Fresh processes in succession that raised what a doubtful one did, too."""
        self._answered: tuple[Tagged, Search | EngineRequest] | None = None
        """What it was able to answer."""
        self._host = RenewedHost(start)
        self._host.load()
        self.capabilities = self._host.call("capabilities")

    @contextmanager
    def audio_cache(self) -> Iterator[None]:
        """Context in which what is worked out of a clip is kept."""
        self._has_cache = True
        try:
            yield
        finally:
            self._has_cache = False
            self._forget()

    def generate(self, inputs: Sequence[Tagged], search: Search) -> list[Generation | Failure]:
        """Answer every input: same length, same order.

        The inputs of an utterance that make a call fail by themselves are failures.

        Raises:
            LostEngineError: if the engine's process ends whatever it is asked.
            RaypipeError: of raypipe, if no utterance is to blame.
        """
        return self._replies(inputs, search)

    def answer(
        self, inputs: Sequence[Tagged], request: EngineRequest
    ) -> list[Generation | Failure]:
        """One reply for every input to a request beyond a search, as :meth:`generate`."""
        return self._replies(inputs, request)

    def _replies(
        self, inputs: Sequence[Tagged], request: Search | EngineRequest
    ) -> list[Generation | Failure]:
        grouped = groupby(inputs, key=lambda tagged: tagged.utterance_id)
        return narrowed(
            [tuple(group) for _, group in grouped], partial(self._ask, request), _failures
        )

    def _ask(
        self,
        request: Search | EngineRequest,
        utterances: Sequence[Sequence[Tagged]],
        share: float,
    ) -> list[Generation | Failure]:
        """Replies about some utterances; an utterance alone is not blamed for what is left over.

        Raises:
            CallError: if one of them is to blame.
        """
        inputs = tuple(chain.from_iterable(utterances))
        limit_s = self._limit_s * share
        was_doubtful = self._is_doubtful
        try:
            return self._call(inputs, request, limit_s)
        except ProcessKilledError:
            if share < 1.0:
                raise
            # As a rule not the utterances' doing: asked once more as before, they are answered to
            # the bit as without it, which in parts they might not be.
            return self._call(inputs, request, limit_s)
        except ProcessEndedError:
            raise
        except CallError:
            may_be_left_over = was_doubtful and self._host.renewable
            is_alone = len(utterances) == 1
            if not (is_alone and may_be_left_over and self._vain_doubts < MOST_VAIN_DOUBTS):
                raise
        self._host.drop()
        self._vain_doubts += 1
        replies = self._call(inputs, request, limit_s)
        self._vain_doubts = 0
        return replies

    def _call(
        self, inputs: Sequence[Tagged], request: Search | EngineRequest, limit_s: float
    ) -> list[Generation | Failure]:
        if not self._host.is_loaded:
            self._host.load()
            self._check_life()
        replies = self._put(inputs, request, limit_s)
        self._answered = inputs[0], request
        return replies

    def _put(
        self, inputs: Sequence[Tagged], request: Search | EngineRequest, limit_s: float
    ) -> list[Generation | Failure]:
        keep = self._has_cache
        try:
            replies: list[Generation | Failure] = self._host.call(
                "ask", inputs, request, keep, limit_s=limit_s, keep=keep
            )
        except ProcessEndedError as error:
            self._ends.append(error)
            self._ended_over = _in_words(inputs)
            self._is_doubtful = False
            raise
        except UnsupportedError:
            raise
        except CallError:
            self._is_doubtful = True
            raise
        except EngineError as error:
            self._is_doubtful = True
            raise CallError(type(error).__name__, str(error)) from error
        self._is_doubtful = False
        self._ends.clear()
        return replies

    def _check_life(self) -> None:
        """Refuse to go on with an engine that cannot even answer what it answered before.

        Raises:
            LostEngineError: if its process ended too often.
        """
        if len(self._ends) < MOST_ENDS:
            return
        last = f"the last time it {self._ends[-1]}, over {self._ended_over}"
        ends = f"{len(self._ends)} times in succession; {last}"
        if self._answered is None:
            raise LostEngineError(f"its process ended {ends}")
        known, request = self._answered
        try:
            self._put([known], request, self._limit_s)
        except CallError as error:
            raise LostEngineError(
                f"its process ended {ends}, then it did not answer what it had answered before"
            ) from error

    def _forget(self) -> None:
        if not self._host.is_loaded:
            return
        try:
            self._host.call("forget", limit_s=self._limit_s)
        except CallError as error:  # every answer is here
            _logger.warning("the engine is loaded anew: %s", error)
            self._host.drop()


def _in_words(inputs: Sequence[Tagged]) -> str:
    """Which utterances a call is about."""
    first, *others = dict.fromkeys(tagged.utterance_id for tagged in inputs)
    return f"utterance {first!r}" + (f" and {len(others)} more" if others else "")


def _failures(utterance: Sequence[Tagged], error: CallError) -> list[Generation | Failure]:
    return [
        failure_of(tagged.utterance_id, "engine", error, "the engine's") for tagged in utterance
    ]
