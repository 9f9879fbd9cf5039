"""Findings for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from raypipe.reporting.corpus import words
from raypipe.reporting.corpus.findings import Bin, Findings, LeftOut, Spread
from raypipe.reporting.text import clean, count, percent, score

NONE = words.NONE
_BAR = 24
_EIGHTHS = " ▏▎▍▌▋▊▉"
_SLICES = 20
_TYPED = 12


def inspection(found: Findings) -> Group:
    """Everything that was found, section by section; empty ones are left out.

    Names come from the shards and may hold anything: they are stripped of control characters and
    never read as rich's markup.
    """
    parts: list[RenderableType] = [
        Text(clean(found.dataset or "unnamed corpus"), style="bold"),
        Text(clean(found.origin or found.location), style="dim"),
        *(Text(f"! {alert}", style="bold red") for alert in words.alerts(found)),
        "",
        _facts(found),
    ]
    for section in _sections(found):
        parts += ["", section]
    return Group(*parts)


def _sections(found: Findings) -> Iterator[RenderableType]:
    if found.votes.labelled or found.votes.counted:
        own = words.self_reports_in_words(found)
        sentences = [*words.soft_labels_in_words(found), *([] if own is None else [own])]
        yield Group(_labels(found), *map(Text, sentences))
        yield _agreement(found)
    elif found.utterances:
        yield Text("No utterance has a vote or a soft label.")
    if found.votes.labelled:
        yield _entropy(found)
        yield _ambiguity(found)
    if found.votes.counted:
        yield _bars("Votes per utterance", "votes", words.gathered(found.votes.per_utterance))
    if len(found.durations.histogram) > 1:
        yield _bars("Duration", "seconds", words.ranges(found.durations.histogram))
    if found.attributes:
        yield _attributes(found)
    if found.typed.votes:
        yield _typed(found)
    if found.votes.outside:
        yield _bars("Words outside the label set", "word", _first(found.votes.outside), "votes")
    if found.slices:
        yield _slices(found)
    for title, left in (("Left out by the policy", found.excluded), ("Failed", found.failed)):
        if left.inputs:
            yield _left_out(title, left)


def _table(title: str) -> Table:
    return Table(
        title=Text(title, style="bold"),
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
    )


def _facts(found: Findings) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for fact in words.facts(found):
        table.add_row(Text(fact.term), Text(fact.text))
    return table


def _labels(found: Findings) -> Table:
    table = _table("Labels")
    table.add_column("label", overflow="fold")
    for name in ("votes", "share", "mean share", "plurality", "majority"):
        table.add_column(name, justify="right")
    corpus = found.policy is not None and found.policy.plurality == "corpus"
    if corpus:
        table.columns[4].header = "consensus"
    for one in found.labels:
        table.add_row(
            Text(clean(one.label, 40)),
            words.votes(one.votes),
            NONE if one.vote_share is None else percent(one.vote_share),
            NONE if one.mean_share is None else percent(one.mean_share),
            count(one.plurality),
            count(one.majority),
        )
    sums = [sum(one.plurality for one in found.labels), sum(one.majority for one in found.labels)]
    table.add_section()
    table.add_row("all", words.votes(found.votes.counted), "", "", *map(count, sums))
    return table


def _agreement(found: Findings) -> Group:
    agreement = found.agreement
    lines = words.agreement_in_words(found)
    if agreement.undefined is not None:
        return Group(*map(Text, lines))
    heads = [
        ("Krippendorff's alpha", agreement.krippendorff_alpha),
        ("Fleiss' kappa", agreement.fleiss_kappa),
    ]
    values = Text()
    for name, value in heads:
        values.append(f"{name} ")
        values.append(NONE if value is None else score(value), style="bold")
        values.append("   ")
    return Group(values, *(Text(line, style="dim") for line in lines))


def _entropy(found: Findings) -> Group:
    bins = found.entropy.steps
    rows = [("0", bins[0].utterances)]
    rows += [(f"{score(one.low, 1)} to {_end(one.high)}", one.utterances) for one in bins[1:]]
    spread = found.entropy.spread
    told = ""
    if spread is not None and found.entropy.mean_nats is not None:
        told = (
            f"Mean {score(spread.mean)} bits ({score(found.entropy.mean_nats)} nats), median "
            f"{score(spread.median)}, largest {score(spread.maximum)} of "
            f"{score(found.entropy.largest)}. The upper end belongs to a range."
        )
    return Group(_bars("Entropy of the soft labels", "bits", rows), Text(told, style="dim"))


def _end(value: float) -> str:
    return score(value, 1 if round(value, 1) == value else 3)


def _ambiguity(found: Findings) -> Table:
    table = _table("Ambiguity bins, by entropy in bits")
    table.add_column("bin")
    for name in ("equal count", "utterances", "equal width", "utterances"):
        table.add_column(name, justify="right")
    even, wide = found.entropy.equal_count, found.entropy.equal_width
    for number in range(max(len(even), len(wide))):
        table.add_row(str(number + 1), *_bin_cells(even, number), *_bin_cells(wide, number))
    return table


def _bin_cells(bins: Sequence[Bin], number: int) -> tuple[str, str]:
    if number >= len(bins):
        return NONE, NONE
    one = bins[number]
    return f"{score(one.low)} to {score(one.high)}", count(one.utterances)


def _first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return [(clean(text, 40), number) for text, number in list(counts.items())[:_TYPED]]


def _bars(
    title: str, head: str, rows: Sequence[tuple[str, int]], counted: str = "utterances"
) -> Table:
    table = _table(title)
    # Numbers stand under each other, words begin under each other.
    table.add_column(head, justify="right" if rows[0][0][0].isdigit() else "left")
    table.add_column(counted, justify="right")
    table.add_column("", no_wrap=True)
    most = max((number for _, number in rows), default=0)
    for name, number in rows:
        table.add_row(Text(name), count(number), Text(_bar(number, most), style="cyan"))
    return table


def _bar(number: int, most: int) -> str:
    """A bar of at most so many cells; whatever is not zero shows."""
    if number == 0:
        return ""
    eighths = max(1, round(8 * _BAR * number / most))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _attributes(found: Findings) -> Table:
    table = _table("Attributes, on the corpus's own scale")
    table.add_column("attribute")
    table.add_column("of", overflow="fold")
    for name in ("n", "mean", "std", "min", "median", "max"):
        table.add_column(name, justify="right")
    for name, one in found.attributes.items():
        for what, spread in (("ratings", one.ratings), ("corpus's mean", one.utterances)):
            if spread is not None:
                table.add_row(name, what, count(spread.n), *_spread_cells(spread))
    return table


def _spread_cells(spread: Spread) -> list[str]:
    values = (spread.mean, spread.std, spread.minimum, spread.median, spread.maximum)
    return [NONE if value is None else score(value, 2) for value in values]


def _typed(found: Findings) -> Group:
    told = (
        f"{count(found.typed.votes)} votes on {count(found.typed.utterances)} utterances have a "
        f"text; {count(found.typed.distinct)} different ones, case ignored."
    )
    return Group(
        _bars("Typed descriptions", "text", _first(found.typed.most_frequent), "times"),
        Text(told, style="dim"),
    )


def _slices(found: Findings) -> Group:
    table = _table(f"By {found.slice_by}")
    table.add_column(str(found.slice_by), overflow="fold")
    for name in ("utterances", "minutes", "votes", "ties", "majority", "entropy", "alpha"):
        table.add_column(name, justify="right")
    for one in found.slices[:_SLICES]:
        table.add_row(
            Text("none" if one.name is None else clean(one.name, 40)),
            count(one.utterances),
            f"{one.duration_s / 60:,.1f}",
            words.votes(one.votes),
            count(one.ties),
            count(one.majority),
            NONE if one.mean_entropy is None else score(one.mean_entropy),
            NONE if one.krippendorff_alpha is None else score(one.krippendorff_alpha),
        )
    rest = len(found.slices) - _SLICES
    told = f"{count(rest)} more are in --json." if rest > 0 else ""
    return Group(table, *([Text(told, style="dim")] if told else []))


def _left_out(title: str, left: LeftOut) -> Table:
    table = _table(f"{title}: {count(left.inputs)}")
    table.add_column("reason", overflow="fold")
    table.add_column("inputs", justify="right")
    table.add_column("first example", overflow="fold")
    for reason, inputs, example in words.left_out_rows(left):
        table.add_row(Text(reason), Text(inputs), Text(example))
    return table
