"""What several commands share: options, values by commas, what is printed of a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Annotated, TypeVar

import typer

from raypipe.reporting.console import Console
from raypipe.store.run_record import RunRecord

Value = TypeVar("Value", str, int, float)

Endpoint = Annotated[
    str | None, typer.Option(help="URL of an S3-compatible server; default: AWS_ENDPOINT_URL.")
]
Address = Annotated[
    str | None, typer.Option(help="Ray cluster; default: RAY_ADDRESS, else a local Ray.")
]


def _allow_open_clusters(allow: bool) -> None:
    """Say it where every connection to a cluster looks, those of a command started again too."""
    if allow:
        from raypipe.runtime.ray.guarded import INSECURE

        os.environ[INSECURE] = "1"


Insecure = Annotated[
    bool,
    typer.Option(
        "--insecure",
        help="Join a cluster that asks for no token; also by RAYPIPE_INSECURE=1.",
        callback=_allow_open_clusters,
        expose_value=False,
    ),
]


def show_run(output: str, record: RunRecord, console: Console, endpoint: str | None) -> None:
    """Print a run's table, the first errors, times and counts."""
    from raypipe.labels import LabelSet
    from raypipe.reporting.errors import error_table
    from raypipe.reporting.run.answers import cut_answers, tally_answers
    from raypipe.reporting.run.facts import times
    from raypipe.reporting.run.fitted import fitted_lines, fitted_rows
    from raypipe.reporting.run.other_labels import other_labels_lines
    from raypipe.reporting.run.rated import rated_lines
    from raypipe.reporting.run.scores import Scores
    from raypipe.reporting.run.sliced import columns_of, verdict_lines
    from raypipe.reporting.run.terminal import summary_table
    from raypipe.runtime.finish.report import first_answers, first_errors
    from raypipe.store.location import Location
    from raypipe.store.query import table_dataset

    tables = Location.parse(output, endpoint)
    metrics = table_dataset(tables, "metrics")
    if metrics is not None:
        rows = metrics.to_table()
        console.print(summary_table(rows))
        fits = table_dataset(tables, "fits")
        scores = Scores(rows)
        fitted = fitted_rows(None if fits is None else fits.to_table(), scores, record)
        for line in (*other_labels_lines(rows, record), *fitted_lines(fitted)):
            console.print(line, highlight=False, markup=False)
        for line in (*rated_lines(scores), *verdict_lines(scores, columns_of(record))):
            console.print(line, highlight=False, markup=False)
    counts = record.done_counts
    if counts.errors:
        console.print(error_table(first_errors(tables)))
    for warning in cut_answers(tally_answers(first_answers(tables), LabelSet(record.labels))):
        console.print(f"Warning: {warning}", highlight=False, markup=False)
    for time in times(record):
        console.print(f"{time.term}, {time.text}", highlight=False, markup=False)
    put_in = f"{counts.input} utterances in"
    if counts.cells:
        put_in = f"{counts.utterances} utterances x {len(counts.cells)} models and prompts"
    console.print(
        f"{put_in} = {counts.predicted} predicted"
        f" + {counts.errors} errors; tables and report.html in {output}"
    )


def pairs(texts: list[str] | None, what: str) -> dict[str, str]:
    """Texts ``key=value`` as keys and values."""
    parted = [text.partition("=") for text in texts or ()]
    for key, equals, _ in parted:
        if not key or not equals:
            raise typer.BadParameter(f"{key!r} is not key=value", param_hint=what)
    return {key.strip(): value.strip() for key, _, value in parted}


def print_json(document: object) -> None:
    """Print a document as JSON, and nothing else."""
    from raypipe.reporting.text import json_text

    sys.stdout.write(json_text(document, indent=2) + "\n")


def values(option: str, text: str | None, kind: Callable[[str], Value]) -> tuple[Value, ...] | None:
    """The values of an option that takes several by commas; None if it was not given."""
    if text is None:
        return None
    try:
        return tuple(kind(part.strip()) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: {error}", param_hint=option) from error


def called(runs: list[str]) -> dict[str, str]:
    """What runs are called, by their places: the last part, or all of it where that is shared."""
    places = list(dict.fromkeys(runs))
    last = [PurePosixPath(place.rstrip("/")).name for place in places]
    return {
        place: name if last.count(name) == 1 else place
        for place, name in zip(places, last, strict=True)
    }
