"""What every section of a config is, and how a document becomes one."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from raypipe.config.values import refusal, shortened
from raypipe.errors import ConfigError, did_you_mean, without_secrets

_MOST_BYTES = 4 << 20
_MOST_VALUES = 100_000
_MOST_BRACKETS = 500
_LONGEST_KEY = 60
_MAYBE_SECRET = re.compile(
    r"(?i)(.*[._])?(password|secret|token|key|key_variable|base_url|endpoint|extra)|secret_variables\..*"
)
# Texts in a message of yaml, but for the names of its own parts, such as '<block end>'.
_QUOTED = re.compile(r"'<[^'<>]*>'|'.'|'.{2,}?'|\"[^\"]{2,}\"", re.DOTALL)
_LONGEST_LINE = 600
_MOST_TEXT = 1_500
"""Characters of a key, a line and all lines of a message."""

Settings = TypeVar("Settings", bound=BaseModel)


class ConfigSection(BaseModel):
    """Some settings that belong together; unknown keys and numbers without an end are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def read_yaml(path: str | Path) -> dict[str, object]:
    """The keys and values of a YAML file.

    Raises:
        ConfigError: naming the file, if it is unreadable or holds something else.
    """
    try:
        document = _yaml_document(_short_text(path))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: is not YAML: it is nested too deeply") from error
    except Exception as error:  # values such as 2024-13-45 fail in the functions that make them
        raise ConfigError(f"{path}: is not YAML: {_in_one_line(_yaml_fault(error))}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: holds {type(document).__name__}, not keys and values")
    return document


def _short_text(path: str | Path) -> str:
    """A file's text, read no further than a config goes: it may be a pipe, and have no end."""
    with Path(path).open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise ConfigError(f"is larger than the {_MOST_BYTES >> 20} MiB that a config may have")
    return data.decode()


def _yaml_document(text: str) -> object:
    """What a YAML text says, as ``yaml.safe_load`` reads it, after its aliases were counted."""
    if _bracket_depth(text) > _MOST_BRACKETS:  # the time that yaml takes grows with their square
        raise ConfigError("is nested too deeply")
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        # Merged keys, too, are written out while the values are made.
        if _value_count(node, {}) > _MOST_VALUES:
            raise ConfigError(
                f"stands for more than {_MOST_VALUES} values by its aliases; a config has some "
                "hundred"
            )
        _refuse_repeated_keys(node, set())
        document: object = loader.construct_document(node)
        return document
    finally:
        loader.dispose()


def _bracket_depth(text: str) -> int:
    """Most brackets that are open at a time, those in texts among them."""
    steps = (1 if bracket in "[{" else -1 for bracket in re.findall(r"[\[\]{}]", text))
    return max(itertools.accumulate(steps), default=0)


def _value_count(node: yaml.Node, known: dict[int, int]) -> int:
    """Number of values in a node, each as often as it is referred to.

    Args:
        node: of a document.
        known: numbers so far by identity, more than the most where a node holds itself.
    """
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = _MOST_VALUES + 1
        pairs = (
            node.value if isinstance(node, yaml.MappingNode) else [(item,) for item in node.value]
        )
        known[id(node)] = 1 + sum(_value_count(item, known) for pair in pairs for item in pair)
    return known[id(node)]


def _refuse_repeated_keys(node: yaml.Node, seen: set[int]) -> None:
    """Refuse a key that stands twice in one place: yaml would read the last one and say nothing.

    Args:
        node: of a document.
        seen: identities of the nodes that were looked at, since aliases lead to them again.
    """
    if isinstance(node, yaml.ScalarNode) or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        inner = node.value
    else:
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            if (key.tag, key.value) in lines:
                first = lines[key.tag, key.value]
                where = f"in line {line}" if first == line else f"in lines {first} and {line}"
                raise ConfigError(f"has the key {shortened(key.value)} twice, {where}")
            lines[key.tag, key.value] = line
        inner = [item for pair in node.value for item in pair]
    for item in inner:
        _refuse_repeated_keys(item, seen)


def _yaml_fault(error: Exception) -> str:
    """What yaml says of a document, with the place, without the document's text.

    That may hold a password: yaml quotes lines and words.
    """
    if isinstance(error, UnicodeDecodeError):
        return str(error)
    if not isinstance(error, yaml.MarkedYAMLError):
        return _unquoted(str(error))
    mark = error.problem_mark or error.context_mark
    said = [part for part in (error.context, error.problem) if part]
    where = "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
    return where + _unquoted(", ".join(said))


def _unquoted(text: str) -> str:
    def kept(found: re.Match[str]) -> str:
        word = found[0]
        return word if len(word) == 3 or word[1] == "<" else "'...'"

    return _QUOTED.sub(kept, text)


def _in_one_line(text: str) -> str:
    """A message of another library, without line ends, cut if it is long, that any file takes."""
    text = " ".join(text.encode(errors="backslashreplace").decode().split())
    return text if len(text) <= _LONGEST_LINE else f"{text[:_LONGEST_LINE]}..."


def checked(model: type[Settings], document: dict[str, object], source: str) -> Settings:
    """Settings of any kind from keys and values; raises as :func:`parse_config`."""
    reason = refusal(document)
    if reason is not None:
        raise ConfigError(f"{source}: {_in_one_line(reason)}")
    try:
        return model.model_validate(document)
    except ValidationError as error:
        messages = dict.fromkeys(_explain(source, fault, model) for fault in error.errors())
        raise ConfigError(_lines(source, list(messages))) from error
    except RecursionError as error:
        raise ConfigError(f"{source}: is nested too deeply") from error


def _lines(source: str, messages: Sequence[str]) -> str:
    """Messages, a line each, as many as somebody would read."""
    shown: list[str] = []
    for message in messages:
        if shown and sum(map(len, shown)) + len(message) > _MOST_TEXT:
            shown.append(f"{source}: and {len(messages) - len(shown)} more")
            break
        shown.append(message)
    return "\n".join(shown)


def _explain(source: str, error: ErrorDetails, model: type[BaseModel]) -> str:
    field = _in_one_line(".".join(_part(part) for part in error["loc"]) or "config")
    if error["type"] == "extra_forbidden":
        known = _keys_at(model, error["loc"][:-1])
        # Where a colon is missing, what follows the key may be a password.
        key, blank, _ = str(error["loc"][-1]).partition(" ")
        parts = (*error["loc"][:-1], f"{key} ..." if blank else key)
        where = _in_one_line(".".join(map(_part, parts)))
        return f"{source}: {where}: unknown key{did_you_mean(key, known)}"
    if error["type"] == "missing":
        return f"{source}: {field}: missing"
    message = _in_one_line(_without_value(error["msg"], error["input"]))
    if not error["loc"]:  # the whole config would follow
        return f"{source}: {message}"
    if _MAYBE_SECRET.fullmatch(field):  # maybe by mistake
        return f"{source}: {field}: {message}"
    told = shortened(error["input"])
    return f"{source}: {field}: {message}" + ("" if told in message else f", got {told}")


def _without_value(message: str, value: object) -> str:
    """A message of pydantic in which a value stands as it may be shown, if it stands there."""
    message = message.removeprefix("Value error, ")
    if isinstance(value, str) and (safe := without_secrets(value)) != value:
        return message.replace(repr(value), repr(safe)).replace(value, safe)
    return message


def _part(part: int | str) -> str:
    """A part of a field's name, which may be anything that was written as a key."""
    text = str(part)
    return text if text.isprintable() and len(text) <= _LONGEST_KEY else shortened(text)


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
