"""A judge's verdicts as one self-contained HTML page and in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
from rich.table import Table

from raypipe.explain.judge.statistics import ClusteredMean, JudgeTally, tallies_of
from raypipe.explain.judge.table import judged_pairs
from raypipe.metrics.bootstrap import FEW_SPEAKERS
from raypipe.reporting.page import Fact, environment
from raypipe.reporting.run.facts import config_text, versions
from raypipe.reporting.text import NONE, clean, count, difference, interval
from raypipe.store.run_record import RunRecord

_EXAMPLES_OF_A_KIND = 2
_TOO_FEW = "Speakers; so few that there are no intervals"

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _Example:
    """A pair as texts."""

    title: str
    meta: str
    first: str
    second: str


def tallies_in(rows: pa.Table, record: RunRecord) -> list[JudgeTally]:
    """What the verdicts of a job come to.

    Args:
        rows: of the table ``judgements``.
        record: of the job.
    """
    return tallies_of(judged_pairs(rows), seed=record.seed)


def systems_of(record: RunRecord) -> tuple[str, str]:
    """Names of both systems, fit to be shown."""
    return clean(record.config["first"]["name"], 60), clean(record.config["second"]["name"], 60)


def html_judgements(rows: pa.Table, record: RunRecord) -> str:
    """The page about a judge job, as HTML.

    What systems and judge wrote is treated as hostile: stripped of control characters, escaped,
    and the page may load or run nothing.

    Args:
        rows: of the table ``judgements``.
        record: of the job, finished.
    """
    tallies = tallies_in(rows, record)
    first, second = systems_of(record)
    counts = record.done_counts
    context = {
        "title": clean(record.name),
        "headline": headline(tallies[0], record),
        "pairs": counts.input,
        "judged": counts.predicted,
        "failed": counts.errors,
        "facts": _facts(tallies[0], record),
        "first": first,
        "second": second,
        "tallies": [_cells(tally) for tally in tallies],
        "examples": list(_examples(rows.to_pylist(), first, second)),
        "versions": versions(record),
        "config": config_text(record),
    }
    return environment().get_template("judge/page.html.jinja").render(context)


def headline(overall: JudgeTally, record: RunRecord) -> str:
    """The win rate and what to think of it, in a sentence."""
    first, second = systems_of(record)
    if not overall.decided:
        return "No pair has two verdicts that can be read."
    rate = overall.win_rate
    apart = "a" if rate.low > 0.5 or rate.high < 0.5 else "no"
    verdict = f"{apart} preference beyond chance"
    if overall.speakers < FEW_SPEAKERS:
        verdict = f"too few speakers to tell from chance, of which {FEW_SPEAKERS} are needed"
    inconsistency = overall.inconsistency.value
    if inconsistency > 0.5:
        return (
            f"The judge goes by position: {count(round(100 * inconsistency))} % of the pairs get "
            f"another verdict when their reasons change places. {first} against {second}: "
            f"{_percent(rate)} over {count(overall.decided)} pairs."
        )
    return (
        f"{first} wins {_percent(rate)} against {second} over {count(overall.decided)} pairs: "
        f"{verdict}."
    )


def tallies_in_terminal(tallies: Sequence[JudgeTally], record: RunRecord) -> Table:
    """Win rates in percent, overall and by label, with what tells how far to trust the judge."""
    first, second = systems_of(record)
    table = Table("", "pairs", f"{first} %", f"wins {first}", f"wins {second}", "ties", "differ")
    table.add_column("unreadable")
    table.add_column("position bias")
    for column in table.columns[1:]:
        column.justify = "right"
    for tally in tallies:
        table.add_row(*_cells(tally)[:9])
    return table


def _cells(tally: JudgeTally) -> tuple[str, ...]:
    return (
        clean(tally.group, 60),
        count(tally.pairs),
        _percent(tally.win_rate),
        count(tally.wins),
        count(tally.losses),
        count(tally.ties),
        count(tally.inconsistent),
        count(tally.invalid),
        _points(tally.position_bias),
        _percent(tally.inconsistency),
    )


def _percent(estimate: ClusteredMean) -> str:
    if estimate.value != estimate.value:  # no data
        return NONE
    value = f"{100 * estimate.value:.1f}\u00a0%"
    if estimate.low != estimate.low:  # too few speakers
        return value
    return f"{value} {interval(f'{100 * estimate.low:.1f}', f'{100 * estimate.high:.1f}')}"


def _points(estimate: ClusteredMean) -> str:
    if estimate.value != estimate.value:
        return NONE
    value = difference(estimate.value, 2)
    if estimate.low != estimate.low:  # too few speakers
        return value
    return f"{value} {interval(difference(estimate.low, 2), difference(estimate.high, 2))}"


def _facts(overall: JudgeTally, record: RunRecord) -> list[Fact]:
    usage = record.api_usage or {}
    heard = "the recording and " if record.config["audio"] else ""
    shown = "the transcript and " if record.config["shards"] else ""
    facts = [
        ("Judge", clean(record.config["model"]["name"] or record.config["model"]["path"])),
        ("It is given", f"{heard}{shown}both reasons"),
        ("Position bias: share of A less a half", _points(overall.position_bias)),
        ("Pairs whose two verdicts differ", _percent(overall.inconsistency)),
        ("Ties, both ways", f"{count(overall.ties)} of {count(overall.decided)} pairs"),
        ("Speakers" if overall.speakers >= FEW_SPEAKERS else _TOO_FEW, count(overall.speakers)),
        ("Verdicts that cannot be read", f"{count(overall.invalid)} of {count(2 * overall.pairs)}"),
    ]
    if usage:
        facts.append(("Requests sent", count(int(str(usage["requests"])))))
    facts += [("Run", record.run), ("Fingerprint", record.fingerprint)]
    return [Fact(term, clean(text)) for term, text in facts]


def _examples(rows: Sequence[Row], first: str, second: str) -> Iterator[_Example]:
    """The first pairs of every kind, in the order of the table."""
    kinds = (
        (f"Both verdicts prefer {first}", lambda row: row["win"] == 1),
        (f"Both verdicts prefer {second}", lambda row: row["win"] == 0),
        ("The verdicts differ", lambda row: row["consistent"] is False),
        ("Cannot be read", lambda row: row["consistent"] is None),
    )
    for title, belongs in kinds:
        for row in [row for row in rows if belongs(row)][:_EXAMPLES_OF_A_KIND]:
            verdicts = (row["first_as_a"] or "?", row["second_as_a"] or "?")
            yield _Example(
                title,
                f"{clean(row['utterance_id'], 80)} · {clean(row['label'], 60)} · "
                f"{verdicts[0]} with {first} as A, {verdicts[1]} with {second} as A",
                clean(row["first_reason"], 400),
                clean(row["second_reason"], 400),
            )
