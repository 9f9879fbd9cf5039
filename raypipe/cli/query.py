"""``raypipe query``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from raypipe.cli.common import Endpoint


def query(
    sql: Annotated[str, typer.Argument(help="SQL over predictions, metrics, errors, generations.")],
    run: Annotated[str, typer.Option(help="Run directory, a path or s3:// URI.")] = "runs/demo",
    endpoint: Endpoint = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
) -> None:
    """Ask a run's tables in SQL."""
    import duckdb
    import pyarrow.csv

    from raypipe.store.location import Location
    from raypipe.store.query import query as ask

    try:
        answer = ask(Location.parse(run, endpoint), sql)
    except duckdb.Error as error:
        raise typer.BadParameter(str(error), param_hint="SQL") from error
    if as_csv:
        pyarrow.csv.write_csv(answer, sys.stdout.buffer)
        return
    table = Table(*map(escape, answer.column_names))
    for row in answer.to_pylist():
        # A list of words would be taken for markup and vanish.
        table.add_row(*(escape(_cell(value)) for value in row.values()))
    Console().print(table)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return "[" + ", ".join(_cell(item) for item in value) + "]"
    return "" if value is None else str(value)
