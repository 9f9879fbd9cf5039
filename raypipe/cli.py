"""The command line: ``raypipe demo``, ``run``, ``ingest``, ``query``, ``report`` and others."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from raypipe.errors import RaypipeError
from raypipe.shards import SoftLabelRule

app = typer.Typer(
    help="Emotion distributions from audio language models, for whole speech corpora, on Ray.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Endpoint = Annotated[
    str | None, typer.Option(help="URL of an S3-compatible server; default: AWS_ENDPOINT_URL.")
]
Address = Annotated[
    str | None, typer.Option(help="Ray cluster; default: RAY_ADDRESS, else a local Ray.")
]


@app.command()
def demo(
    output: Annotated[Path, typer.Argument(help="Run directory to write.")] = Path("runs/demo"),
    utterances: Annotated[int, typer.Option(min=20, help="Clips to synthesise.")] = 400,
    seed: Annotated[int, typer.Option(help="Seed of the synthetic corpus.")] = 0,
    silence: Annotated[
        bool, typer.Option(help="Zero every clip: shows what is left without listening.")
    ] = False,
    address: Address = None,
) -> None:
    """Let the bundled model listen to a synthetic corpus: everything at once, on this machine."""
    from raypipe.runtime.demo import demo_config, make_corpus
    from raypipe.runtime.pipeline import run

    console = Console()
    shards = make_corpus(output / "corpus", utterances, seed, console)
    record = run(demo_config(shards, output, silence=silence), address=address, console=console)
    _show_run(str(output), record, console, None)


@app.command("run")
def run_command(
    config: Annotated[Path, typer.Argument(help="YAML file of the run.")],
    address: Address = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first utterances.")] = None,
) -> None:
    """Run a corpus of shards through a model; the same command again continues."""
    from raypipe.config import load_config
    from raypipe.runtime.pipeline import run

    console = Console()
    settings = load_config(config)
    if limit is not None:
        updated = settings.input.model_copy(update={"limit": limit})
        settings = settings.model_copy(update={"input": updated})
    record = run(settings, address=address, console=console)
    _show_run(settings.output, record, console, settings.storage.endpoint)


@app.command()
def ingest(
    manifest: Annotated[str, typer.Argument(help="JSONL or CSV manifest, a path or s3:// URI.")],
    destination: Annotated[str, typer.Argument(help="Where the shards go: a path or s3:// URI.")],
    label_set: Annotated[
        str, typer.Option(help="Name of a label set, or labels separated by commas.")
    ],
    other_labels: Annotated[
        str, typer.Option(help="Words outside the set that votes may hold, by commas.")
    ] = "",
    soft_label_rule: Annotated[
        SoftLabelRule, typer.Option(help="How an annotator with several labels counts.")
    ] = "primary",
    fixed_sentences: Annotated[
        bool, typer.Option(help="The corpus is acted with fixed sentences.")
    ] = False,
    audio_root: Annotated[
        str | None, typer.Option(help="What every clip must lie below; default: the manifest's.")
    ] = None,
    endpoint: Endpoint = None,
) -> None:
    """Turn a manifest and its audio files into shards."""
    from raypipe.corpora.manifest import ingest_manifest
    from raypipe.labels import label_set as resolve
    from raypipe.report.terminal import error_table
    from raypipe.shards import INGEST_ERRORS
    from raypipe.store.location import Location
    from raypipe.store.parquet import from_parquet_bytes

    shards = Location.parse(destination, endpoint)
    console = Console()
    with console.status("reading clips"):
        index, failures = ingest_manifest(
            manifest,
            shards,
            resolve(label_set.split(",") if "," in label_set else label_set),
            audio_root=audio_root,
            endpoint=endpoint,
            other_labels=[word for word in other_labels.split(",") if word],
            soft_label_rule=soft_label_rule,
            fixed_sentences=fixed_sentences,
        )
    if failures:
        console.print(error_table(from_parquet_bytes(shards.read(INGEST_ERRORS))))
    console.print(
        f"{index.rows} utterances in {len(index.shards)} shards, {failures} failures,"
        f" in {shards.uri}"
    )


@app.command()
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
    table = Table(*answer.column_names)
    for row in answer.to_pylist():
        table.add_row(*(_cell(value) for value in row.values()))
    Console().print(table)


@app.command()
def report(
    run: Annotated[str, typer.Argument(help="Run directory, a path or s3:// URI.")],
    endpoint: Endpoint = None,
) -> None:
    """Write a finished run's report.html again and print its table."""
    from raypipe.labels import LabelSet
    from raypipe.runtime.reduce import write_report
    from raypipe.runtime.run_record import read_record
    from raypipe.store.location import Location

    tables = Location.parse(run, endpoint)
    record = read_record(tables)
    write_report(tables, record, LabelSet(tuple(record["labels"])))
    _show_run(run, record, Console(), endpoint)


@app.command()
def selfcheck(
    config: Annotated[Path, typer.Argument(help="YAML file of the run.")],
    sample: Annotated[
        int | None, typer.Option(min=1, help="Utterances; default: twice the batch size.")
    ] = None,
) -> None:
    """Compare answers at batch size 1 and at the run's; exit code 1 if float32 disagrees."""
    from raypipe.config import load_config
    from raypipe.runtime.selfcheck import selfcheck as check
    from raypipe.runtime.selfcheck import selfcheck_table

    result = check(load_config(config), sample)
    console = Console()
    console.print(selfcheck_table(result))
    if not result.passed:
        console.print("[bold red]answers depend on the batch[/]")
        raise typer.Exit(1)
    if not result.agreement.agrees:
        console.print(f"answers depend on the batch, as {result.dtype} does; float32 would not")


@app.command()
def models() -> None:
    """Which model families can be run, how each was verified, and what it does not do."""
    from raypipe.engines.families import FAMILIES

    table = Table("family", "engine", "architecture", "verified", "limits")
    for one in FAMILIES:
        table.add_row(one.name, "transformers", one.architecture, one.verified, one.limits)
    Console().print(table)


def _show_run(output: str, record: dict[str, Any], console: Console, endpoint: str | None) -> None:
    from raypipe.report.terminal import error_table, summary_table
    from raypipe.store.location import Location
    from raypipe.store.query import table_dataset

    tables = Location.parse(output, endpoint)
    metrics, errors = table_dataset(tables, "metrics"), table_dataset(tables, "errors")
    if metrics is not None:
        console.print(summary_table(metrics.to_table()))
    counts = record["counts"]
    if counts["errors"] and errors is not None:
        console.print(error_table(errors.head(1000)))
    console.print(
        f"{counts['input']} utterances in = {counts['predicted']} predicted"
        f" + {counts['errors']} errors; tables and report.html in {output}"
    )


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return "[" + ", ".join(_cell(one) for one in value) + "]"
    return "" if value is None else str(value)


def main() -> None:
    """Entry point: own errors print as one clear message and exit code 1, without a stack."""
    try:
        app()
    except RaypipeError as error:
        Console(stderr=True).print(f"[bold red]{type(error).__name__}[/]: ", end="")
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command again continues where this one stopped\n")
        sys.exit(130)
