"""The fake engine with a pause before every call, so that a fault falls into the work."""

from __future__ import annotations

import time
from collections.abc import Sequence

from fake_engine import FakeEngine, FakeFrontend, FakeInput, FakeOptions

from raypipe.engines.plugins import EnginePlugin, EngineSettings
from raypipe.records import Failure, Generation, Search


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


PLUGIN = EnginePlugin(
    frontend=FakeFrontend,
    engine=SlowEngine,
    capabilities=FakeEngine.capabilities,
    options=SlowOptions,
)
