"""Findings about a corpus for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from raypipe.reporting.corpus import rows, words
from raypipe.reporting.corpus.findings import Findings, OmittedInputs
from raypipe.reporting.text import clean, count, score

_BAR_CELLS: Final = 24
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_MOST_SLICES: Final = 20
_MOST_TEXTS: Final = 12


def inspection(findings: Findings) -> Group:
    """All findings, section by section; empty sections are left out.

    Names come from the shards and may hold anything: they are stripped of control characters and
    never read as rich's markup.
    """
    parts: list[RenderableType] = [
        Text(clean(findings.dataset or "unnamed corpus"), style="bold"),
        Text(clean(findings.origin or findings.location), style="dim"),
        *(Text(f"! {alert}", style="bold red") for alert in words.alerts(findings)),
        "",
        _facts(findings),
    ]
    for section in _sections(findings):
        parts += ["", section]
    return Group(*parts)


def _sections(findings: Findings) -> Iterator[RenderableType]:
    if findings.votes.labelled or findings.votes.counted:
        own = words.self_reports_in_words(findings)
        sentences = [*words.soft_labels_in_words(findings), *([] if own is None else [own])]
        yield Group(_labels(findings), *map(Text, sentences))
        yield _agreement(findings)
    elif findings.utterances:
        yield Text("No utterance has a vote or a soft label.")
    if findings.votes.labelled:
        yield _entropy(findings)
        yield _ambiguity(findings)
    if findings.votes.counted:
        by_number = words.gathered(findings.votes.per_utterance)
        yield _bars("Votes per utterance", "votes", by_number)
    if len(findings.durations.histogram) > 1:
        yield _bars("Duration", "seconds", words.ranges(findings.durations.histogram))
    if findings.attributes:
        yield _attributes(findings)
    if findings.typed.votes:
        yield _typed(findings)
    if findings.votes.outside:
        outside = _first(findings.votes.outside)
        yield _bars("Words outside the label set", "word", outside, "votes")
    if findings.slices:
        yield _slices(findings)
    for title, omitted in (
        ("Left out by the policy", findings.excluded),
        ("Failed", findings.failed),
    ):
        if omitted.inputs:
            yield _omitted(title, omitted)


def _table(title: str, first: str, *numbers: str) -> Table:
    """An empty table with a name in its first column and numbers in the others."""
    table = Table(
        title=Text(title, style="bold"),
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
    )
    table.add_column(first, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def _facts(findings: Findings) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for fact in words.facts(findings):
        table.add_row(Text(fact.term), Text(fact.text))
    return table


def _labels(findings: Findings) -> Table:
    reference = words.reference_label(findings)
    table = _table("Labels", "label", "votes", "share", "mean share", reference, "majority")
    *labels, sums = rows.label_rows(findings)
    for row in labels:
        _add_label(table, row)
    table.add_section()
    _add_label(table, sums)
    return table


def _add_label(table: Table, row: rows.Row) -> None:
    name, votes, share, mean_share, _, plurality, majority = row
    table.add_row(Text(name), votes, share, mean_share, plurality, majority)


def _agreement(findings: Findings) -> Group:
    lines = words.agreement_in_words(findings)
    if findings.agreement.undefined is not None:
        return Group(*map(Text, lines))
    values = Text()
    for name, value in rows.agreement_values(findings):
        values.append(f"{name} ")
        values.append(value, style="bold")
        values.append("   ")
    return Group(values, *(Text(line, style="dim") for line in lines))


def _entropy(findings: Findings) -> Group:
    first, *steps = findings.entropy.steps
    by_range = [("0", first.utterances)]
    by_range += [(f"{score(step.low, 1)} to {_end(step.high)}", step.utterances) for step in steps]
    spread = findings.entropy.spread
    sentence = ""
    if spread is not None and findings.entropy.mean_nats is not None:
        sentence = (
            f"Mean {score(spread.mean)} bits ({score(findings.entropy.mean_nats)} nats), median "
            f"{score(spread.median)}, largest {score(spread.maximum)} of "
            f"{score(findings.entropy.largest)}. The upper end belongs to a range."
        )
    bars = _bars("Entropy of the soft labels", "bits", by_range)
    return Group(bars, Text(sentence, style="dim"))


def _end(value: float) -> str:
    return score(value, 1 if round(value, 1) == value else 3)


def _ambiguity(findings: Findings) -> Table:
    title = "Ambiguity bins, by entropy in bits"
    table = _table(title, "bin", "equal count", "utterances", "equal width", "utterances")
    for row in rows.ambiguity_rows(findings):
        table.add_row(*row)
    return table


def _first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return [(clean(text, 40), number) for text, number in list(counts.items())[:_MOST_TEXTS]]


def _bars(
    title: str, head: str, named: Sequence[tuple[str, int]], counted: str = "utterances"
) -> Table:
    """Named numbers, each with a bar."""
    table = _table(title, head, counted)
    # Numbers stand under each other, words begin under each other.
    table.columns[0].justify = "right" if named[0][0][0].isdigit() else "left"
    table.add_column("", no_wrap=True)
    most = max((number for _, number in named), default=0)
    for name, number in named:
        table.add_row(Text(name), count(number), Text(_bar(number, most), style="cyan"))
    return table


def _bar(number: int, most: int) -> str:
    """A bar of at most ``_BAR_CELLS`` characters; any number above zero shows."""
    if number == 0:
        return ""
    eighths = max(1, round(8 * _BAR_CELLS * number / most))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _attributes(findings: Findings) -> Table:
    title = "Attributes, on the corpus's own scale"
    table = _table(title, "attribute", "of", "n", "mean", "std", "min", "median", "max")
    table.columns[1].justify, table.columns[1].overflow = "left", "fold"
    for row in rows.attribute_rows(findings):
        table.add_row(*row)
    return table


def _typed(findings: Findings) -> Group:
    typed = findings.typed
    sentence = (
        f"{count(typed.votes)} votes on {count(typed.utterances)} utterances have a "
        f"text; {count(typed.distinct)} different ones, case ignored."
    )
    bars = _bars("Typed descriptions", "text", _first(typed.most_frequent), "times")
    return Group(bars, Text(sentence, style="dim"))


def _slices(findings: Findings) -> Group:
    heads = ("utterances", "minutes", "votes", "ties", "majority", "entropy", "alpha")
    table = _table(f"By {findings.slice_by}", str(findings.slice_by), *heads)
    for name, *numbers in rows.slice_rows(findings, _MOST_SLICES):
        table.add_row(Text(name), *numbers)
    rest = len(findings.slices) - _MOST_SLICES
    notes = [Text(f"{count(rest)} more are in --json.", style="dim")] if rest > 0 else []
    return Group(table, *notes)


def _omitted(title: str, omitted: OmittedInputs) -> Table:
    table = _table(f"{title}: {count(omitted.inputs)}", "reason", "inputs")
    table.add_column("first example", overflow="fold")
    for reason, inputs, example in rows.omission_rows(omitted):
        table.add_row(Text(reason), Text(inputs), Text(example))
    return table
