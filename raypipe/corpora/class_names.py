"""Words behind whole-number labels, as the huggingface metadata of a table name them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from raypipe.corpora.bad_line import BadLineError, shown
from raypipe.corpora.field_names import VOTE_COLUMNS, whole_number
from raypipe.errors import CorpusError


def class_names(schema: pa.Schema, where: str) -> Mapping[str, Sequence[str]]:
    """The words behind whole numbers, by column.

    Raises:
        CorpusError: if they cannot be read for a column of labels that has numbers.
    """
    raw = (schema.metadata or {}).get(b"huggingface")
    if raw is None:
        return {}
    words: dict[str, Sequence[str]] = {}
    numbered = {
        field.name for field in schema if field.name in VOTE_COLUMNS and _is_numbered(field.type)
    }
    try:
        features = dict(json.loads(raw)["info"]["features"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if numbered:
            raise _unreadable(where, error) from error
        return {}
    for column, feature in features.items():
        try:
            for kind in _kinds(feature):
                if kind.get("_type") == "ClassLabel" and "names" in kind:
                    words[column] = _in_order(kind["names"])
        except ValueError as error:
            if column in numbered:
                raise _unreadable(where, error) from error
    return words


def _unreadable(where: str, error: Exception) -> CorpusError:
    return CorpusError(f"{where}: the huggingface metadata cannot be read: {error}")


def _is_numbered(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _is_numbered(kind.value_type)
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _kinds(feature: object) -> Iterator[Mapping[str, object]]:
    """A feature, and that of its items where it is a list, in either way of writing one."""
    inner = feature if isinstance(feature, list) else []
    if isinstance(feature, dict):
        yield feature
        inner = [feature.get("feature")]
    yield from (kind for kind in inner if isinstance(kind, dict))


def _in_order(names: object) -> Sequence[str]:
    """Words by their number; some writers keep them as ``{"0": "angry"}``."""
    if isinstance(names, dict):
        numbers = sorted(int(number) for number in names)
        if numbers != [*range(len(numbers))]:
            raise ValueError(f"the numbers of the names are {shown(numbers)}")
        names = [names[key] for key in sorted(names, key=int)]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"the names are {shown(names)}")
    return names


def worded(column: str, value: object, words: Mapping[str, Sequence[str]]) -> object:
    """A label's word in place of its number; a number without a word is refused."""
    if isinstance(value, list):
        return [worded(column, item, words) for item in value]
    if isinstance(value, dict):  # a struct has every key in every row
        return {key: item for key, item in value.items() if item is not None}
    number = whole_number(value)
    if number is None or isinstance(value, str):
        return value
    names = words.get(column, ())
    if not 0 <= number < len(names):
        raise BadLineError(
            "unknown_label",
            f"{column}: the metadata have no word for {number}, only {', '.join(names) or 'none'}",
        )
    return names[number]
