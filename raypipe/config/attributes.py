"""The section of a run's config about arousal, valence and dominance."""

from __future__ import annotations

from math import inf

from pydantic import Field, field_validator

from raypipe.config.base import ConfigSection
from raypipe.config.values import PathText
from raypipe.records import AttributeScales


class AttributesConfig(ConfigSection):
    """How question ``attributes`` asks for arousal, valence and dominance.

    Attributes:
        scale: lowest and highest rating of the corpus, such as [1, 5]; None asks nothing.
        asked_scale: that the prompt states; None for the corpus's.
        template: a built-in prompt name or the path of a Jinja template that sees ``low`` and
            ``high`` of the asked scale.
        max_new_tokens: longest answer in tokens.
    """

    scale: tuple[float, float] | None = None
    asked_scale: tuple[float, float] | None = None
    template: PathText = "attributes"
    max_new_tokens: int = Field(default=96, ge=1)

    @field_validator("scale", "asked_scale")
    @classmethod
    def _ascends(cls, scale: tuple[float, float] | None) -> tuple[float, float] | None:
        if scale is not None and not -inf < scale[0] < scale[1] < inf:
            raise ValueError("a scale is its lowest and its highest number, such as [1, 5]")
        return scale

    @property
    def scales(self) -> AttributeScales | None:
        """The scales of question and corpus; None where the corpus's is not known."""
        if self.scale is None:
            return None
        return AttributeScales(self.asked_scale or self.scale, self.scale)
