"""What a setting of a strategy is, and the values of all of them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from raypipe.errors import ConfigError, RegistryError

SettingValue = float | str
"""Any setting's value; bool and int are numbers, too."""

Value = TypeVar("Value", bound=SettingValue, covariant=True)


SECTIONS = ("aggregation", "adaptive", "pool", "calibrate", "conformal", "fit")
"""Sections of a run's config in which settings of strategies stand."""


@dataclass(frozen=True, slots=True, eq=False)
class Setting(Generic[Value]):
    """A value that changes a strategy's predictions and needs no model to be asked again.

    It stands in a run's config, in the options of ``reaggregate``, in the names of a sweep and in
    the ``settings`` table under its name; all of them read this declaration.

    Attributes:
        name: unique among the settings of all strategies.
        annotation: type with its limits, as pydantic takes it:
            ``Annotated[float, Field(gt=0)]``.
        default: value where none is given; its type is that of the setting.
        summary: what it is, with its unit, in one line.
        examples: two values that differ in what they predict; a test sweeps over them.
        section: of a run's config, where it stands.
        changes_probs: False if only the uncertainty of a prediction depends on it.

    Raises:
        RegistryError: for a declaration that contradicts itself.
    """

    name: str
    annotation: Any
    default: Value
    summary: str
    examples: tuple[Value, Value]
    section: str = "aggregation"
    changes_probs: bool = True

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or not self.summary.strip():
            raise RegistryError(f"setting {self.name!r}: its name or its summary is none")
        if self.section not in SECTIONS:
            raise RegistryError(f"setting {self.name}: {self.section} is none of {SECTIONS}")
        if self.examples[0] == self.examples[1]:
            raise RegistryError(f"setting {self.name}: its two examples are one")

    @property
    def option(self) -> str:
        """Name of its command line option, without dashes in front."""
        name = self.name.replace("_", "-")
        is_said = self.section == "aggregation" or name.startswith(f"{self.section}-")
        return name if is_said else f"{self.section}-{name}"

    def checked(self, value: object) -> Value:
        """The value as one of this setting.

        Raises:
            ConfigError: naming the setting and what it takes.
        """
        try:
            checked: Value = _adapter(self).validate_python(value)
        except ValidationError as error:
            reason = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise ConfigError(f"{self.section}.{self.name}: {reason}, got {value!r}") from error
        return checked


@cache
def _adapter(setting: Setting[Value]) -> TypeAdapter[Value]:
    return TypeAdapter(setting.annotation)


class Settings:
    """Values of all settings of all strategies; those that are not given are the defaults.

    Args:
        values: by the settings' names.

    Raises:
        ConfigError: for an unknown name, or a value that cannot be.

    Example:
        >>> from raypipe.strategies.shared import TAU
        >>> Settings(tau=2.0)[TAU], Settings()[TAU]
        (2.0, 1.0)
    """

    def __init__(self, **values: object) -> None:
        # The declarations stand in the strategies' files, which use this class.
        from raypipe.strategies.registry import SETTINGS

        unknown = sorted(values.keys() - SETTINGS.keys())
        if unknown:
            raise ConfigError(f"unknown settings {unknown}; known: {', '.join(SETTINGS)}")
        self._values: Mapping[str, SettingValue] = {
            name: setting.checked(values[name]) if name in values else setting.default
            for name, setting in SETTINGS.items()
        }

    def __getitem__(self, setting: Setting[Value]) -> Value:
        if setting not in self:
            raise RegistryError(f"setting {setting.name} is read but not declared")
        # Each setting has checked the value under its own name.
        return cast(Value, self._values[setting.name])

    def __contains__(self, setting: Setting[SettingValue]) -> bool:
        return setting.name in self._values

    def declared(self, *settings: Setting[SettingValue]) -> Settings:
        """The values of some settings: for a strategy, which reads no setting but those it names.

        Example:
            >>> from raypipe.strategies.shared import MERGE_TOKENISATIONS, TAU
            >>> TAU in Settings().declared(TAU), MERGE_TOKENISATIONS in Settings().declared(TAU)
            (True, False)
        """
        part = copy.copy(self)
        part._values = {setting.name: self._values[setting.name] for setting in settings}
        return part

    def changed(self, **values: object) -> Settings:
        """The same with other values of some settings."""
        return Settings(**{**self._values, **values})

    def by_name(self) -> Mapping[str, SettingValue]:
        """Every value by its setting's name."""
        return self._values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Settings) and self._values == other._values

    def __hash__(self) -> int:
        return hash(tuple(self._values.items()))

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self._values.items())
        return f"Settings({values})"
