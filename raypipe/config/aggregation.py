"""The sections of a run's config that hold settings of strategies, made from their declarations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, create_model

from raypipe.config.base import ConfigSection
from raypipe.errors import ConfigError
from raypipe.questions import question_named
from raypipe.strategies import SETTINGS, Settings, strategy_named


def _section(name: str, summary: str) -> type[ConfigSection]:
    fields: dict[str, Any] = {
        setting.name: (
            setting.annotation,
            Field(default=setting.default, description=setting.summary),
        )
        for setting in SETTINGS.values()
        if setting.section == name
    }
    title = f"{name.capitalize()}Config"
    return create_model(
        title, __base__=ConfigSection, __doc__=summary, __module__=__name__, **fields
    )


if TYPE_CHECKING:

    class AggregationConfig(ConfigSection):
        """How hypotheses become one distribution: settings of section ``aggregation``."""

    class AdaptiveConfig(ConfigSection):
        """When ``adaptive`` is content with a cheap answer: settings of section ``adaptive``."""

    class PoolConfig(ConfigSection):
        """What ``pool`` is the mean of: settings of section ``pool``."""

    class CalibrateConfig(ConfigSection):
        """What ``calibrate`` changes, and to which end: settings of section ``calibrate``."""

    class ConformalConfig(ConfigSection):
        """What sets of ``conformal`` are to hold: settings of section ``conformal``."""

    class FitConfig(ConfigSection):
        """Which utterances parameters are fitted to: settings of section ``fit``."""

else:
    AggregationConfig = _section("aggregation", "How hypotheses become one distribution.")
    AdaptiveConfig = _section("adaptive", "When adaptive is content with a cheap answer.")
    PoolConfig = _section("pool", "What pool is the mean of.")
    CalibrateConfig = _section("calibrate", "What calibrate changes, and to which end.")
    ConformalConfig = _section("conformal", "What sets of conformal are to hold.")
    FitConfig = _section("fit", "Which utterances parameters are fitted to.")


def _known_strategy(name: str) -> str:
    try:
        strategy_named(name)
    except ConfigError as error:
        raise ValueError(str(error)) from error
    return name


def _known_question(name: str) -> str:
    try:
        question_named(name)
    except ConfigError as error:
        raise ValueError(str(error)) from error
    return name


StrategyName = Annotated[str, AfterValidator(_known_strategy)]
"""Name of a registered strategy."""

QuestionName = Annotated[str, AfterValidator(_known_question)]
"""Name of a registered question."""


def settings_in(*sections: ConfigSection) -> Settings:
    """Values of the strategies' settings that stand in some sections."""
    values = [section.model_dump() for section in sections]
    return Settings(**{name: value for section in values for name, value in section.items()})
