"""An engine that takes a fixed time for every utterance, with clips as large as a real one's.

A stand-in for a GPU: nothing here competes for the CPUs with what feeds it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fake_engine import FakeEngine, FakeFrontend, FakeInput, FakeOptions
from numpy.typing import NDArray

from raypipe.engines.plugins import EnginePlugin, EngineSettings
from raypipe.records import Failure, Generation, Request, Search

FRAMES_PER_S, MELS = 100, 128


class TimedOptions(FakeOptions):
    """What the engine is told.

    Attributes:
        utterance_s: that it takes.
        calls: file to which it writes begin and end (machine's clock) and utterances of calls.
    """

    utterance_s: float = 0.02
    calls: str


@dataclass(frozen=True, slots=True)
class HeardInput(FakeInput):
    """A request with a clip's features.

    Attributes:
        features: float32 (mel bands, frames) of the clip's length.
    """

    features: NDArray[np.float32]


class TimedFrontend(FakeFrontend):
    """As the fake one, with features."""

    def prepare(self, requests: Sequence[Request]) -> list[FakeInput | Failure]:
        return [self._heard(made) for made in super().prepare(requests)]

    @staticmethod
    def _heard(made: FakeInput | Failure) -> FakeInput | Failure:
        if isinstance(made, Failure) or made.seconds is None:
            return made
        features = np.ones((MELS, round(made.seconds * FRAMES_PER_S)), np.float32)
        return HeardInput(made.utterance_id, made.prompt, made.seconds, features)

    def with_prompt(self, prepared: FakeInput, prompt: str) -> FakeInput:
        assert isinstance(prepared, HeardInput)
        return HeardInput(prepared.utterance_id, prompt, prepared.seconds, prepared.features)


class TimedEngine(FakeEngine):
    """As the fake one, at a fixed speed."""

    def __init__(self, settings: EngineSettings) -> None:
        super().__init__(settings)
        self._timed: TimedOptions = settings.model.options

    def generate(self, inputs: Sequence[FakeInput], search: Search) -> list[Generation | Failure]:
        begun = time.monotonic()
        answers = super().generate(inputs, search)
        time.sleep(max(0.0, begun + self._timed.utterance_s * len(inputs) - time.monotonic()))
        with Path(self._timed.calls).open("a") as file:
            file.write(json.dumps([begun, time.monotonic(), len(inputs)]) + "\n")
        return answers


PLUGIN = EnginePlugin(
    frontend=TimedFrontend,
    engine=TimedEngine,
    capabilities=FakeEngine.capabilities,
    options=TimedOptions,
)
