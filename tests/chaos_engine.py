"""The fake engine with a pause before every call, so that a fault falls into the work."""

from __future__ import annotations

import time
from collections.abc import Sequence

from fake_engine import FakeEngine, FakeFrontend, FakeInput, FakeOptions

from raypipe.engines.plugins import EnginePlugin, EngineSettings, ModelSettings
from raypipe.records import Failure, Generation, Request, Search


class SlowOptions(FakeOptions):
    """What the engine is told.

    Attributes:
        pause_s: before every call.
    """

    pause_s: float = 0.2

    def identity(self) -> dict[str, object]:
        """How long it takes changes no answer."""
        return {name: value for name, value in super().identity().items() if name != "pause_s"}


class SlowEngine(FakeEngine):
    def __init__(self, settings: EngineSettings) -> None:
        super().__init__(settings)
        self._pause_s = settings.model.options.pause_s

    def generate(self, inputs: Sequence[FakeInput], search: Search) -> list[Generation | Failure]:
        time.sleep(self._pause_s)
        return super().generate(inputs, search)


class SlowFrontend(FakeFrontend):
    """Takes about as long as the engine, or its work would be over before a fault."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self._pause_s = settings.options.pause_s

    def prepare(self, requests: Sequence[Request]) -> list[FakeInput | Failure]:
        time.sleep(2 * self._pause_s)
        return super().prepare(requests)


PLUGIN = EnginePlugin(
    frontend=SlowFrontend,
    engine=SlowEngine,
    capabilities=FakeEngine.capabilities,
    options=SlowOptions,
)
