"""An engine beside the one search that a test asks it for."""

from typing import Any

from raypipe.records import Search


def split_search(settings: dict[str, Any]) -> tuple[Search, dict[str, Any]]:
    """Settings of a search among those of an engine, and the rest."""
    names = ("beam_count", "greedy", "max_new_tokens", "grammar")
    search = Search(**{name: settings[name] for name in names if name in settings})
    return search, {name: value for name, value in settings.items() if name not in names}


class Searching:
    """Answers with one search; everything else is the engine's."""

    def __init__(self, engine: Any, search: Search) -> None:
        self.engine, self.search = engine, search

    def generate(self, inputs: Any) -> Any:
        return self.engine.generate(inputs, self.search)

    @property
    def decoder(self) -> Any:
        return self.engine._decoder(self.search)

    @decoder.setter
    def decoder(self, decoder: Any) -> None:
        self.engine._decoders[self.search] = decoder

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)
