"""Command line options made from the settings that strategies declare."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from raypipe.errors import RegistryError
from raypipe.strategies import SETTINGS, Setting
from raypipe.strategies.setting import SettingValue

Command = TypeVar("Command", bound=Callable[..., None])


def with_settings(command: Command) -> Command:
    """A command with an option for every setting, in place of its ``**settings``.

    A number or a word may be given with commas in between, for a sweep; a yes-or-no setting has
    two options, which may both be given.
    """
    hints = get_type_hints(command, include_extras=True)
    signature = inspect.signature(command)
    own = [
        parameter.replace(annotation=hints[name])
        for name, parameter in signature.parameters.items()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    options = [
        inspect.Parameter(
            setting.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=_annotation(setting),
        )
        for setting in SETTINGS.values()
    ]
    everything: Any = command
    for name in {"help", *(parameter.name for parameter in own)} & SETTINGS.keys():
        raise RegistryError(f"setting {name}: raypipe reaggregate has another option of that name")
    everything.__signature__ = signature.replace(parameters=[*own, *options])
    everything.__annotations__ = {
        parameter.name: parameter.annotation for parameter in (*own, *options)
    }
    return command


def values_given(
    options: Mapping[str, str | list[bool] | None],
) -> Mapping[str, tuple[SettingValue, ...]]:
    """Values of the settings that were given, by the settings' names.

    Raises:
        ConfigError: naming the setting, for a value that it does not take.
        typer.BadParameter: for a text that is no value of its type.
    """
    return {
        name: _parsed(SETTINGS[name], value) for name, value in options.items() if value is not None
    }


def _annotation(setting: Setting[SettingValue]) -> object:
    # The command line writes a text that begins with a capital and ends with a full stop.
    text = f"{setting.summary[0].upper()}{setting.summary[1:]}"
    if isinstance(setting.default, bool):
        names = f"--{setting.option}/--no-{setting.option}"
        return Annotated[
            list[bool] | None, typer.Option(names, help=f"{text}; both options give both.")
        ]
    return Annotated[
        str | None, typer.Option(f"--{setting.option}", help=f"{text}; several by commas.")
    ]


def _parsed(setting: Setting[SettingValue], given: str | list[bool]) -> tuple[SettingValue, ...]:
    if not isinstance(given, str):
        return tuple(given)
    kind = type(setting.default)
    try:
        values = [kind(part.strip()) for part in given.split(",")]
    except ValueError as error:
        raise typer.BadParameter(
            f"{given!r} is not a list of {kind.__name__} values by commas",
            param_hint=f"--{setting.option}",
        ) from error
    return tuple(setting.checked(value) for value in values)
