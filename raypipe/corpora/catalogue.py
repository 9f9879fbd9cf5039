"""Which corpora and which kinds of users' own data raypipe reads, and with which options."""

from __future__ import annotations

import importlib
import inspect
import re
import types
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict

from raypipe.corpora import CORPORA, load_corpus
from raypipe.corpora.base import Corpus
from raypipe.corpora.sources import READERS
from raypipe.errors import ConfigError
from raypipe.votes import VotePolicy

_ENTRY = re.compile(r"(?m)^ {4}(?P<name>\w+): (?P<text>.*(?:\n {8}.*)*)")
_ROLE = re.compile(r":\w+:`~?([^`]*)`")


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
    return SourceCard(
        name=corpus.name,
        kind="corpus",
        title=corpus.title,
        about=_paragraphs(importlib.import_module(type(corpus).__module__)),
        licence=corpus.licence,
        fixed_sentences=corpus.fixed_sentences,
        options=_options(type(corpus)),
        selections=tuple(
            SelectionCard(name=name, labels=one.labels.names, policy=one.policy, note=one.note)
            for name, one in corpus.selections.items()
        ),
    )


def _reader_card(name: str) -> SourceCard:
    reader = READERS[name]
    title, _, _ = _paragraphs(reader).partition("\n\n")
    return SourceCard(
        name=name,
        kind="own data",
        title=title.rstrip("."),
        about=_paragraphs(importlib.import_module(reader.layout)),
        licence=None,
        fixed_sentences=None,
        options=_options(reader),
        selections=(),
    )


def _options(source: type[BaseModel]) -> tuple[Option, ...]:
    told = {name: text for one in reversed(source.__mro__) for name, text in _entries(one).items()}
    return tuple(
        Option(
            name=name,
            values=_values(field.annotation),
            default=field.get_default(call_default_factory=True),
            about=told.get(name, ""),
        )
        for name, field in source.model_fields.items()
    )


def _entries(documented: object) -> dict[str, str]:
    """Names and texts of the entries of a docstring's sections."""
    # Not inspect.getdoc, which gives a class without a docstring that of its base.
    text = inspect.cleandoc(documented.__doc__ or "")
    found = {match["name"]: " ".join(match["text"].split()) for match in _ENTRY.finditer(text)}
    return {name: _ROLE.sub(r"\1", one).replace("``", "") for name, one in found.items()}


def _paragraphs(documented: object) -> str:
    """A docstring's paragraphs, each on one line; a row of a table is a line of its own."""
    blocks = (inspect.getdoc(documented) or "").split("\n\n")
    joined = [_table_rows(one) if one.startswith("==") else " ".join(one.split()) for one in blocks]
    text = _ROLE.sub(r"\1", "\n\n".join(joined))
    return text.replace("``", "").replace("**", "").replace("::\n", ":\n")


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
