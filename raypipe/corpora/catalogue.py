"""Catalogue of the corpora and of the formats of users' own data, with their options."""

from __future__ import annotations

import importlib
import inspect
import types
from pathlib import Path
from typing import Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict

from raypipe.corpora import CORPORA, load_corpus
from raypipe.corpora.base import Corpus
from raypipe.corpora.readers import READERS
from raypipe.errors import ConfigError
from raypipe.generated import write_table
from raypipe.votes import VotePolicy


class _CatalogueCard(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OptionCard(_CatalogueCard):
    """One option of an adapter or reader.

    Attributes:
        values: the values that it takes, in words.
        default: null for none.
        about: its effect, in a sentence.
    """

    name: str
    values: str
    default: object
    about: str


class SelectionCard(_CatalogueCard):
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


class SourceCard(_CatalogueCard):
    """A corpus, or a format of users' own data.

    Attributes:
        kind: ``corpus`` or ``own data``.
        title: name or format, in a line.
        about: layout and quirks, in paragraphs.
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
    options: tuple[OptionCard, ...]
    selections: tuple[SelectionCard, ...]


def catalogue() -> list[SourceCard]:
    """Every corpus, then every reader of users' own data."""
    return [card(name) for name in (*CORPORA, *READERS)]


def card(name: str) -> SourceCard:
    """Card of one corpus or reader.

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
        about=flowing(corpus.about),
        licence=corpus.licence,
        fixed_sentences=corpus.fixed_sentences,
        options=_options(type(corpus)),
        selections=tuple(
            SelectionCard(
                name=name,
                labels=selection.labels.names,
                policy=selection.policy,
                note=selection.note,
            )
            for name, selection in corpus.selections.items()
        ),
    )


def _reader_card(name: str) -> SourceCard:
    reader = READERS[name]
    return SourceCard(
        name=name,
        kind="own data",
        title=reader.summary,
        about=flowing(importlib.import_module(reader.layout).LAYOUT),
        licence=None,
        fixed_sentences=None,
        options=_options(reader),
        selections=(),
    )


def _options(source: type[BaseModel]) -> tuple[OptionCard, ...]:
    return tuple(
        OptionCard(
            name=name,
            values=_values(field.annotation),
            default=field.get_default(call_default_factory=True),
            about=field.description or "",
        )
        for name, field in source.model_fields.items()
    )


def flowing(text: str) -> str:
    r"""A text whose paragraphs are one line each; items of a list stay lines of their own.

    Example:
        >>> flowing("one\nline\n\n- first\n  item\n- second")
        'one line\n\n- first item\n- second'
    """
    lines: list[str] = []
    for line in inspect.cleandoc(text).splitlines():
        starts_anew = not line or line.startswith("- ") or not lines or not lines[-1]
        if starts_anew:
            lines.append(line)
        else:
            lines[-1] += f" {line.strip()}"
    return "\n".join(lines)


def _values(annotation: object) -> str:
    """The values that an option of this type takes, in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if origin in (Union, types.UnionType):
        return " | ".join(_values(part) for part in arguments if part is not type(None))
    names: dict[object, str] = {
        bool: "true | false",
        int: "whole number",
        float: "number",
        str: "text",
    }
    return names.get(annotation, "texts, separated by commas")


def markdown() -> str:
    """The table of all corpora and formats in this folder's README."""
    rows = ["| name | source | options | selections |", "| --- | --- | --- | --- |"]
    together: dict[str, list[SourceCard]] = {}
    for source in catalogue():
        together.setdefault(source.title, []).append(source)
    for title, sources in together.items():
        names = ", ".join(f"`{source.name}`" for source in sources)
        options = ", ".join(f"`{option.name}`" for option in sources[0].options)
        selections = ", ".join(f"`{selection.name}`" for selection in sources[0].selections)
        rows.append(f"| {names} | {title} | {options or 'none'} | {selections or 'none'} |")
    return "\n".join(rows)


if __name__ == "__main__":
    write_table(Path(__file__).parent / "README.md", "corpora", markdown())
