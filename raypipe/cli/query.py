"""``raypipe query``."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from raypipe.cli.common import Endpoint

if TYPE_CHECKING:
    import pyarrow as pa


def query(
    sql: Annotated[
        str | None,
        typer.Argument(
            help="SQL over tables (predictions, metrics, errors, generations, ...) and views "
            "(distributions, hypotheses, utterances, confusion)."
        ),
    ] = None,
    run: Annotated[
        list[str] | None,
        typer.Option(
            help="Run directory, a path or s3:// URI; default: runs/demo. Given several times, a "
            "column source tells the runs apart."
        ),
    ] = None,
    endpoint: Endpoint = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, lists in it as JSON.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON array, a row each.")
    ] = False,
    parquet: Annotated[
        str | None, typer.Option(help="Write a new Parquet file, a path or s3:// URI.")
    ] = None,
    as_latex: Annotated[
        bool,
        typer.Option(
            "--latex",
            help="Print a LaTeX table; of metrics, a column each with its interval. Without SQL: "
            "the main metrics.",
        ),
    ] = False,
    unsafe: Annotated[
        bool,
        typer.Option(
            "--unsafe",
            help="Let the SQL do all that DuckDB can: read and write files, use the network.",
        ),
    ] = False,
) -> None:
    """Ask the tables of a run, or of several, in SQL that sees these and nothing else."""
    from raypipe.reporting.query.files import csv_bytes, json_lines, parquet_bytes
    from raypipe.reporting.query.latex import latex_table, metrics_sql
    from raypipe.reporting.query.terminal import answer_text
    from raypipe.store.query import SOURCE

    if as_csv + as_json + as_latex + (parquet is not None) > 1:
        raise typer.BadParameter("choose one of --csv, --json, --parquet and --latex")
    runs = list(dict.fromkeys(run or ["runs/demo"]))
    if sql is None:
        if not as_latex:
            raise typer.BadParameter("say what to ask", param_hint="SQL")
        sql = metrics_sql([SOURCE] if len(runs) > 1 else [])
    if unsafe:
        sys.stderr.write("--unsafe: the SQL may read and write files and use the network\n")
    answer = _answer(sql, runs, endpoint, unsafe)
    if as_csv:
        sys.stdout.buffer.write(csv_bytes(answer))
    elif as_json:
        sys.stdout.writelines(f"{line}\n" for line in json_lines(answer))
    elif as_latex:
        sys.stdout.write(latex_table(answer))
    elif parquet is not None:
        _write_new(parquet, endpoint, parquet_bytes(answer))
    else:
        sys.stdout.write(answer_text(answer, shutil.get_terminal_size().columns))


def _answer(sql: str, runs: list[str], endpoint: str | None, unsafe: bool) -> pa.Table:
    import duckdb

    from raypipe.reporting.text import visible_lines
    from raypipe.store.location import Location
    from raypipe.store.query import query as ask
    from raypipe.store.query import query_runs

    places = {run: Location.parse(run, endpoint) for run in runs}
    try:
        if len(places) > 1:
            return query_runs(places, sql, unsafe=unsafe)
        [tables] = places.values()
        return ask(tables, sql, unsafe=unsafe)
    except duckdb.Error as error:
        raise typer.BadParameter(visible_lines(str(error)), param_hint="SQL") from error


def _write_new(uri: str, endpoint: str | None, data: bytes) -> None:
    from raypipe.errors import ConfigError
    from raypipe.store.location import Location

    place, name = Location.parse_object(uri, endpoint)
    if not place.create(name, data):
        raise ConfigError(f"{uri} is there already; it is not written over")
