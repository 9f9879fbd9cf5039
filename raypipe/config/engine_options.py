"""Base of the settings that only one engine reads."""

from __future__ import annotations

from raypipe.config.base import ConfigSection


class PluginOptions(ConfigSection):
    """Settings of one engine: frozen, unknown keys refused.

    Every option makes another run, unless it is a ``Field(exclude=True)``: say so of those that
    cannot change an answer. Options stand in ``run.json``; secrets belong in the environment.
    """

    def identity(self) -> dict[str, object]:
        """The settings that can change an answer, as JSON."""
        return self.model_dump(mode="json")
