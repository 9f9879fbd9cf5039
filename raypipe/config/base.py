"""What every section of a config is, and how a document becomes one."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from raypipe.errors import ConfigError

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
        raise ConfigError("\n".join(_explain(source, fault) for fault in error.errors())) from error


def _explain(source: str, error: ErrorDetails) -> str:
    field = ".".join(str(part) for part in error["loc"]) or "config"
    if error["type"] == "extra_forbidden":
        return f"{source}: {field}: unknown key"
    if error["type"] == "missing":
        return f"{source}: {field}: missing"
    if not error["loc"]:  # the whole config would follow
        return f"{source}: {error['msg']}"
    if field.endswith("key_variable") or field.endswith("base_url"):  # maybe a key, by mistake
        return f"{source}: {field}: {error['msg']}"
    return f"{source}: {field}: {error['msg']}, got {error['input']!r}"
