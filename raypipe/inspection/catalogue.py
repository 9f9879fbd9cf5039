"""Which corpora and which kinds of users' own data raypipe reads, and with which options."""

from __future__ import annotations

import importlib
import inspect
import re
import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict

from raypipe.corpora import CORPORA, load_corpus
from raypipe.corpora.base import Corpus
from raypipe.errors import ConfigError
from raypipe.votes import VotePolicy

READERS: Mapping[str, str] = {
    "manifest": "raypipe.corpora.manifest:read_manifest",
    "webdataset": "raypipe.corpora.webdataset:read_webdataset",
    "hf-table": "raypipe.corpora.hf_table:read_hf_table",
}
"""Readers of users' own data, as ``module:function``; a file's ending tells which one is meant."""

_ENTRY = re.compile(r"(?m)^ {4}(?P<name>\w+): (?P<text>.*(?:\n {8}.*)*)")
_ROLE = re.compile(r":\w+:`~?([^`]*)`")
_NOT_OPTIONS = {"uri", "manifest", "labels", "endpoint"}


class _Card(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Option(_Card):
    """One option of an adapter or reader.

    Attributes:
        values: what it takes, in words.
        default: null for none.
        about: what it does.
    """

    name: str
    values: str
    default: Any
    about: str


class SelectionCard(_Card):
    """A usual way to read a corpus.

    Attributes:
        labels: the label set.
        policy: how votes become soft labels and which clips stay.
        note: where it comes from and how many clips it gives on the real corpus.
    """

    name: str
    labels: tuple[str, ...]
    policy: VotePolicy
    note: str


class SourceCard(_Card):
    """A corpus, or a kind of users' own data.

    Attributes:
        kind: ``corpus`` or ``own data``.
        title: what it is, in a line.
        about: layout and quirks.
        licence: what may be done with it; null for users' own data.
        fixed_sentences: the speakers were given their sentences; null for users' own data.
        selections: the default first; none for users' own data, which need a label set.
    """

    name: str
    kind: Literal["corpus", "own data"]
    title: str
    about: str
    licence: str | None
    fixed_sentences: bool | None
    options: tuple[Option, ...]
    selections: tuple[SelectionCard, ...]


def catalogue() -> list[SourceCard]:
    """Every corpus, then every reader of users' own data."""
    return [card(name) for name in (*CORPORA, *READERS)]


def card(name: str) -> SourceCard:
    """What there is to know about one corpus or reader.

    Raises:
        ConfigError: for an unknown name.
    """
    if name in CORPORA:
        return _corpus_card(load_corpus(name))
    if name in READERS:
        return _reader_card(name)
    known = f"{', '.join(CORPORA)}; your own data: {', '.join(READERS)}"
    raise ConfigError(f"unknown corpus {name!r}; known: {known}")


def _corpus_card(corpus: Corpus) -> SourceCard:
    adapter = type(corpus)
    told = _entries(adapter)
    return SourceCard(
        name=corpus.name,
        kind="corpus",
        title=corpus.title,
        about=_paragraphs(importlib.import_module(adapter.__module__)),
        licence=corpus.licence,
        fixed_sentences=corpus.fixed_sentences,
        options=tuple(
            Option(
                name=name,
                values=_values(field.annotation),
                default=field.get_default(call_default_factory=True),
                about=told.get(name, ""),
            )
            for name, field in adapter.model_fields.items()
        ),
        selections=tuple(
            SelectionCard(name=name, labels=one.labels.names, policy=one.policy, note=one.note)
            for name, one in corpus.selections.items()
        ),
    )


def _reader_card(name: str) -> SourceCard:
    module_name, _, attribute = READERS[name].partition(":")
    module = importlib.import_module(module_name)
    reader = getattr(module, attribute)
    told = _entries(reader)
    options = [
        Option(name=key, values="text", default=_default(parameter), about=told.get(key, ""))
        for key, parameter in inspect.signature(reader).parameters.items()
        if key not in _NOT_OPTIONS
    ]
    title, _, about = _paragraphs(module).partition("\n\n")
    return SourceCard(
        name=name,
        kind="own data",
        title=title.rstrip("."),
        about=about,
        licence=None,
        fixed_sentences=None,
        options=tuple(options),
        selections=(),
    )


def _default(parameter: inspect.Parameter) -> object:
    return parameter.default or None


def _entries(documented: object) -> dict[str, str]:
    """Names and texts of the entries of a docstring's sections."""
    text = inspect.getdoc(documented) or ""
    found = {match["name"]: " ".join(match["text"].split()) for match in _ENTRY.finditer(text)}
    return {name: _ROLE.sub(r"\1", one).replace("``", "") for name, one in found.items()}


def _paragraphs(documented: object) -> str:
    """A docstring's paragraphs, each on one line; a row of a table is a line of its own."""
    blocks = (inspect.getdoc(documented) or "").split("\n\n")
    joined = [_table_rows(one) if one.startswith("==") else " ".join(one.split()) for one in blocks]
    return _ROLE.sub(r"\1", "\n\n".join(joined)).replace("``", "")


def _table_rows(block: str) -> str:
    """The rows of a docstring's table with two columns, as ``first: second``."""
    ruler, *lines, _ = block.splitlines()
    start = ruler.rindex(" ") + 1
    rows: list[list[str]] = []
    for line in lines:
        first, second = line[:start].strip(), line[start:].strip()
        if rows and (not first or not second):
            rows[-1] = [f"{rows[-1][0]} {first}".strip(), f"{rows[-1][1]} {second}".strip()]
        else:
            rows.append([first, second])
    return "\n".join(f"{first}: {second}" for first, second in rows)


def _values(annotation: Any) -> str:
    """What an option of this type takes, in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if origin in (Union, types.UnionType):
        return " | ".join(_values(one) for one in arguments if one is not type(None))
    names = {bool: "true | false", int: "whole number", float: "number", str: "text"}
    return names.get(annotation, "texts, separated by commas")
