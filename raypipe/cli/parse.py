"""``raypipe parse``."""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from raypipe.labels import LabelSet
    from raypipe.parsing import Reading

_WIDTH = 80
_LONGEST_PATH = 4096


def parse(
    label_set: Annotated[
        str, typer.Option(help="Name of a label set, or labels separated by commas.")
    ],
    answer: Annotated[
        str | None,
        typer.Argument(
            metavar="[TEXT|FILE]",
            help="An answer; a file with one; a .jsonl file with one under `text` in every line. "
            "Default: standard input.",
        ),
    ] = None,
    max_dropped_share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Most that labels outside the set may have.")
    ] = 0.5,
) -> None:
    """Show what an answer is read as, by which rule, and what each part of it was taken for."""
    from raypipe.labels import label_set as named
    from raypipe.parsing import read_answer

    labels = named(
        [word.strip() for word in label_set.split(",")] if "," in label_set else label_set
    )
    for number, text in enumerate(_texts(answer)):
        if number:
            typer.echo()
        for line in _lines(text, read_answer(text, labels, max_dropped_share), labels):
            typer.echo(line)


def _texts(answer: str | None) -> Iterator[str]:
    """The answers that were named: their texts."""
    if answer is None:
        yield sys.stdin.read()
        return
    path = Path(answer)
    if len(answer) > _LONGEST_PATH or "\0" in answer or not _is_file(path):
        yield answer
        return
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix != ".jsonl":
        yield text
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield _text_field(line, f"{path}:{number}")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a text may be no possible path
        return False


def _text_field(line: str, place: str) -> str:
    try:
        text = json.loads(line)["text"]
    except (ValueError, TypeError, KeyError) as error:
        raise typer.BadParameter(f"{place}: no object with a field text") from error
    if not isinstance(text, str):
        raise typer.BadParameter(f"{place}: text is {type(text).__name__}, not a string")
    return text


def _lines(text: str, reading: Reading, labels: LabelSet) -> Iterator[str]:
    from raypipe.parsing import REASONS, RULES

    parsed = reading.parsed
    if parsed.probs is None:
        reason = parsed.invalid_reason or ""
        yield from _entry("invalid", f"{reason}: {REASONS[reason]}")
    else:
        shares = zip(labels.names, parsed.probs.tolist(), strict=True)
        yield from _entry("reading", ", ".join(f"{name} {share:.3f}" for name, share in shares))
    yield from _entry("rule", f"{parsed.rule}: {RULES[parsed.rule]}")
    if parsed.dropped_share:
        yield from _entry("dropped", f"{parsed.dropped_share:.3f} of labels outside the set")
    for part in reading.parts:
        written = text[part.start : part.end]
        if re.search(r"\w", written):  # a comma says nothing
            yield f"  {part.taken_for:<24} {_shown(written)}"


def _entry(name: str, words: str) -> list[str]:
    indent = " " * 9
    return textwrap.wrap(words, _WIDTH, initial_indent=f"{name:<9}", subsequent_indent=indent)


def _shown(written: str) -> str:
    """A stretch of text on the rest of a line: escaped, its middle left out if it is long."""
    shown = written.strip()
    shown = shown if shown.isprintable() else ascii(shown)
    room = _WIDTH - 27
    if len(shown) <= room:
        return shown
    half = (room - 5) // 2
    return f"{shown[:half]} ... {shown[-half:]}"
