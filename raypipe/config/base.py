"""What every section of a config is, and how a document becomes one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from raypipe.errors import ConfigError, did_you_mean

Settings = TypeVar("Settings", bound=BaseModel)


class ConfigSection(BaseModel):
    """Some settings that belong together; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def read_yaml(path: str | Path) -> dict[str, object]:
    """The keys and values of a YAML file.

    Raises:
        ConfigError: naming the file, if it is unreadable or holds something else.
    """
    try:
        document = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not YAML: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: holds {type(document).__name__}, not keys and values")
    return document


def checked(model: type[Settings], document: dict[str, object], source: str) -> Settings:
    """Settings of any kind from keys and values; raises as :func:`parse_config`."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        messages = [_explain(source, fault, model) for fault in error.errors()]
        raise ConfigError("\n".join(dict.fromkeys(messages))) from error


def _explain(source: str, error: ErrorDetails, model: type[BaseModel]) -> str:
    field = ".".join(str(part) for part in error["loc"]) or "config"
    if error["type"] == "extra_forbidden":
        known = _keys_at(model, error["loc"][:-1])
        return f"{source}: {field}: unknown key{did_you_mean(str(error['loc'][-1]), known)}"
    if error["type"] == "missing":
        return f"{source}: {field}: missing"
    message = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:  # the whole config would follow
        return f"{source}: {message}"
    if field.endswith("key_variable") or field.endswith("base_url"):  # maybe a key, by mistake
        return f"{source}: {field}: {message}"
    told = repr(error["input"])
    return f"{source}: {field}: {message}" + ("" if told in message else f", got {told}")


def _keys_at(model: type[BaseModel], path: Sequence[int | str]) -> list[str]:
    """Keys that the section at a path may have; none where it is no section."""
    sections = [model]
    for part in path:
        fields = [
            section.model_fields[str(part)] for section in sections if part in section.model_fields
        ]
        if fields:  # a number in a list and the name of an alternative lead no deeper
            sections = [inner for field in fields for inner in _sections_in(field.annotation)]
    return [key for section in sections for key in section.model_fields]


def _sections_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for part in get_args(annotation) for section in _sections_in(part)]
