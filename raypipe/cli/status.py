"""``raypipe status``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from raypipe.cli.common import Endpoint, print_json
from raypipe.reporting.console import Console

if TYPE_CHECKING:
    from raypipe.engines.engine import Usage
    from raypipe.runtime.finish.status import RunProgressFacts


def status(
    run: Annotated[str, typer.Argument(help="Output of a run, a path or s3:// URI.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
    endpoint: Endpoint = None,
) -> None:
    """How far a run is, from its output alone: done, rate, time left, tokens, cost, last words."""
    from raypipe.runtime.finish.status import run_progress
    from raypipe.store.location import Location

    found = run_progress(Location.parse(run, endpoint), endpoint)
    if as_json:
        print_json(_document(found))
        return
    console = Console(soft_wrap=True, highlight=False, markup=False)
    for line in _lines(found):
        console.print(line)


def _lines(found: RunProgressFacts) -> Iterator[str]:
    from raypipe.reporting.text import clean, count, duration

    record = found.record
    yield f"{clean(record.name)} ({record.run}): {record.status}, begun {record.started}"
    if record.reason is not None:
        yield f"reason: {clean(record.reason, 500)}"
    for cell in found.cells:
        where = f"{clean(cell.model)}, {clean(cell.prompt)}: "
        if found.shards is None or found.utterances is None:
            yield f"{where}{count(cell.shards)} shards done"
            continue
        yield (
            f"{where}{count(cell.utterances or 0)} of {count(found.utterances)} utterances, "
            f"{count(cell.shards)} of {count(found.shards)} shards"
        )
    if not found.cells:
        yield "no predictions yet"
    if found.corpus_fault is not None:
        yield f"the corpus cannot be read from here: {clean(found.corpus_fault, 300)}"
    if record.counts is not None:
        yield f"{count(record.counts.predicted)} predicted, {count(record.counts.errors)} errors"
    if found.usage is not None:
        yield _spent(found.usage)
    if record.status == "running":
        yield f"last object written {duration(found.quiet_s)} ago"
        if found.shards_per_s:
            yield f"{60 * found.shards_per_s:.3g} shards a minute"
        if found.left_s is not None:
            yield f"about {duration(found.left_s)} left of what has begun"
        if found.is_stuck:
            yield "nothing has come for as long as ten shards took: something may be stuck"
    if found.may_be_dead:
        yield "nothing has come for long: if no process runs it, the same command continues it"


def _spent(usage: Usage) -> str:
    """What services were asked for, in words; the cost in the currency of the prices, if any."""
    from raypipe.reporting.text import count

    text = (
        f"{count(usage.requests)} requests sent, {count(usage.cached)} answers from the cache; "
        f"{count(usage.prompt_tokens)} tokens in, {count(usage.output_tokens)} out"
    )
    return f"{text}; cost {usage.cost:.4f}" if usage.cost else text


def _document(found: RunProgressFacts) -> dict[str, object]:
    record = found.record
    return {
        "run": record.run,
        "name": record.name,
        "status": record.status,
        "reason": record.reason,
        "started": record.started,
        "finished": record.finished,
        "shards": found.shards,
        "utterances": found.utterances,
        "cells": [asdict(cell) for cell in found.cells],
        "counts": None if record.counts is None else record.counts.model_dump(mode="json"),
        "api_usage": record.api_usage if found.usage is None else asdict(found.usage),
        "quiet_s": round(found.quiet_s, 1),
        "shards_per_s": found.shards_per_s,
        "left_s": found.left_s,
        "is_stuck": found.is_stuck,
        "may_be_dead": found.may_be_dead,
        "corpus_fault": found.corpus_fault,
    }
