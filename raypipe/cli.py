"""The command line: from a corpus to shards, to a run, to what it says."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from raypipe.cli_settings import values_given, with_settings
from raypipe.errors import RaypipeError
from raypipe.reporting.corpus.findings import SliceBy
from raypipe.store.run_record import RunRecord
from raypipe.votes import ClipRule, OutsideRule, SoftLabelRule

app = typer.Typer(
    help="Emotion distributions from audio language models, for whole speech corpora, on Ray.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Value = TypeVar("Value", str, int, float)

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
    everything: Annotated[
        bool, typer.Option(help="Also chain of thought, verifier and adaptive strategies.")
    ] = False,
    address: Address = None,
) -> None:
    """Let the bundled model listen to a synthetic corpus: everything at once, on this machine."""
    from raypipe.runtime.infer.demo import demo_config, make_corpus
    from raypipe.runtime.infer.pipeline import run

    console = Console()
    shards = make_corpus(output / "corpus", utterances, seed, console)
    config = demo_config(shards, output, silence=silence, everything=everything)
    record = run(config, address=address, console=console)
    _show_run(config.output, record, console, None)


@app.command("run")
def run_command(
    config: Annotated[Path, typer.Argument(help="YAML file of the run.")],
    address: Address = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first utterances.")] = None,
) -> None:
    """Run a corpus of shards through a model; the same command again continues."""
    from raypipe.config import load_config
    from raypipe.runtime.infer.pipeline import run

    console = Console()
    settings = load_config(config)
    if limit is not None:
        updated = settings.input.model_copy(update={"limit": limit})
        settings = settings.model_copy(update={"input": updated})
    record = run(settings, address=address, console=console)
    _show_run(settings.output, record, console, settings.storage.endpoint)


@app.command()
def ingest(
    corpus: Annotated[
        str, typer.Argument(help="A corpus, or manifest, webdataset, parquet, nemo, lhotse.")
    ],
    source: Annotated[str, typer.Argument(help="Its folder or file: a path or s3:// URI.")],
    destination: Annotated[str, typer.Argument(help="Where the shards go: a path or s3:// URI.")],
    label_set: Annotated[
        str | None,
        typer.Option(help="Name of a label set, or labels separated by commas."),
    ] = None,
    selection: Annotated[
        str | None, typer.Option(help="One of the corpus's usual selections.")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="key=value of the corpus or reader; repeatable.")
    ] = None,
    soft_label_rule: Annotated[
        SoftLabelRule | None, typer.Option(help="How an annotator with several labels counts.")
    ] = None,
    outside: Annotated[
        OutsideRule | None, typer.Option(help="What becomes of votes outside the label set.")
    ] = None,
    merge: Annotated[
        list[str] | None, typer.Option(help="word=label that it counts as; repeatable.")
    ] = None,
    clips: Annotated[ClipRule | None, typer.Option(help="Which clips stay.")] = None,
    audio: Annotated[
        str, typer.Option(help="flac: integer PCM becomes FLAC, losslessly; or original.")
    ] = "flac",
    rows_per_shard: Annotated[int, typer.Option(min=1, help="Most utterances in a shard.")] = 200,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Most tasks at a time; default: the CPUs.")
    ] = None,
    endpoint: Endpoint = None,
    source_endpoint: Annotated[
        str | None, typer.Option(help="S3 server of the source, where it is another.")
    ] = None,
    address: Address = None,
) -> None:
    """Turn a corpus, or your own data, into shards; the same command again continues."""
    from raypipe.config import checked
    from raypipe.runtime.ingest.config import IngestConfig
    from raypipe.runtime.ingest.job import ingest as run_ingest
    from raypipe.runtime.ingest.show import show_ingest
    from raypipe.store.location import Location

    labels = label_set.split(",") if label_set and "," in label_set else label_set
    document = {
        "corpus": corpus,
        "source": source,
        "output": destination,
        "options": _pairs(option, "--option"),
        "selection": selection,
        "label_set": labels,
        "votes": {
            "soft_label_rule": soft_label_rule,
            "outside": outside,
            "merge": _pairs(merge, "--merge"),
            "clips": clips,
        },
        "audio": audio,
        "rows_per_shard": rows_per_shard,
        "workers": workers,
        "storage": {"endpoint": endpoint},
        "source_endpoint": source_endpoint,
    }
    console = Console()
    index = run_ingest(
        checked(IngestConfig, document, "raypipe ingest"), address=address, console=console
    )
    show_ingest(index, Location.parse(destination, endpoint), console)


@app.command()
def corpora(
    name: Annotated[str | None, typer.Argument(help="One of them, in detail.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the corpora and kinds of own data that can be ingested, with their options."""
    from raypipe.corpora.catalogue import card, catalogue
    from raypipe.reporting.catalogue import detail, listing

    cards = catalogue() if name is None else [card(name)]
    if as_json:
        documents = [source.model_dump(mode="json") for source in cards]
        _print_json(documents if name is None else documents[0])
    else:
        Console().print(listing(cards) if name is None else detail(cards[0]))


@app.command()
def inspect(
    shards: Annotated[str, typer.Argument(help="Folder of shards, a path or s3:// URI.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    output: Annotated[
        str | None, typer.Option(help="Where inspect.html and inspect.json go: a path or s3://.")
    ] = None,
    slice_by: Annotated[
        SliceBy | None, typer.Option(help="Count each of these on its own, too.")
    ] = None,
    endpoint: Endpoint = None,
) -> None:
    """Show what is in a corpus of shards: votes, ambiguity, agreement, durations, failures.

    The exit code is 1 if a shard or row could not be read; the rest is shown.
    """
    from raypipe.reporting.corpus.inspect import inspect_shards
    from raypipe.reporting.corpus.page import write_inspection
    from raypipe.reporting.corpus.terminal import inspection
    from raypipe.store.location import Location

    # Nothing but JSON on stdout.
    with Console(stderr=as_json).status("counting") as status:
        findings = inspect_shards(
            Location.parse(shards, endpoint),
            slice_by=slice_by,
            progress=lambda done, total: status.update(f"counting, {done} of {total} shards"),
        )
    if output is not None:
        write_inspection(findings, Location.parse(output, endpoint))
    if as_json:
        _print_json(findings.model_dump(mode="json"))
    else:
        Console().print(inspection(findings))
    if findings.problems:
        raise typer.Exit(1)


@app.command()
@with_settings
def reaggregate(
    run: Annotated[str, typer.Argument(help="Finished run, a path or s3:// URI; only read.")],
    output: Annotated[
        str | None, typer.Option(help="Where the tables go; default: beside RUN.")
    ] = None,
    strategies: Annotated[str | None, typer.Option(help="Strategies, by commas.")] = None,
    sub_beams: Annotated[
        str | None,
        typer.Option(help="Read the first so many beams; not what a narrower search finds."),
    ] = None,
    replicates: Annotated[int | None, typer.Option(help="Bootstrap replicates.")] = None,
    endpoint: Endpoint = None,
    address: Address = None,
    **settings: object,
) -> None:
    """Predict from a run's stored hypotheses under other settings, without a model."""
    from raypipe.runtime.reaggregate.job import reaggregate
    from raypipe.runtime.reaggregate.plan import Changes

    changes = Changes(
        strategies=_values("--strategies", strategies, str),
        settings=values_given(settings),
        sub_beams=_values("--sub-beams", sub_beams, int),
        replicates=replicates,
    )
    console = Console()
    record = reaggregate(
        run, changes, output=output, endpoint=endpoint, address=address, console=console
    )
    _show_run(record.config["output"], record, console, endpoint)


@app.command("strategies")
def strategies_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the strategies: what each predicts, what it asks and which settings change it."""
    from raypipe.strategies.listing import strategy_cards, strategy_table

    cards = strategy_cards()
    if as_json:
        _print_json([card.model_dump(mode="json") for card in cards])
    else:
        Console().print(strategy_table(cards))


@app.command("questions")
def questions_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the questions that a model can be asked, and what answers them."""
    from raypipe.strategies.listing import question_cards, question_table

    cards = question_cards()
    if as_json:
        _print_json([card.model_dump(mode="json") for card in cards])
    else:
        Console().print(question_table(cards))


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
    from raypipe.runtime.finish.reduce import write_report
    from raypipe.store.location import Location
    from raypipe.store.run_record import read_record

    tables = Location.parse(run, endpoint)
    record = read_record(tables)
    write_report(tables, record, LabelSet(record.labels))
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
    from raypipe.runtime.infer.selfcheck import selfcheck as check
    from raypipe.runtime.infer.selfcheck import selfcheck_table

    result = check(load_config(config), sample)
    console = Console()
    console.print(selfcheck_table(result))
    if not result.passed:
        console.print("[bold red]answers depend on the batch[/]")
        raise typer.Exit(1)
    if not result.agreement.agrees:
        console.print(f"answers depend on the batch, as {result.dtype} does; float32 would not")


@app.command()
def metrics(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the metrics: what each is, its range, which way is better, when it is undefined."""
    from raypipe.metrics.listing import documents, terminal_table

    if as_json:
        _print_json(documents())
    else:
        Console().print(terminal_table())


@app.command()
def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Which model families can be run, how each was verified, and what it does not do.

    Below them the engines that other installed packages offer.
    """
    from raypipe.engines.families import FAMILIES
    from raypipe.engines.model_list import (
        ELSEWHERE,
        WHAT_PATHS_MEAN,
        WHAT_VERIFIED_MEANS,
        models_as_json,
    )
    from raypipe.engines.plugins import installed_plugins

    plugins = installed_plugins()
    if as_json:
        offers = [
            {"engine": one.engine, "package": one.package, "version": one.version}
            | {"summary": one.summary}
            for one in plugins
        ]
        _print_json({**models_as_json(), "plugins": offers})
        return
    table = Table("family", "engines", "path", "verified", "limits", show_lines=True)
    table.columns[0].overflow = table.columns[-1].overflow = "fold"
    for family in FAMILIES:
        name = f"{family.name}\n[dim]{family.architecture}[/dim]"
        limits = "; ".join(family.limits_in_words())
        table.add_row(
            name, ", ".join(family.engines), family.decoder or "-", family.verified, limits
        )
    for other in ELSEWHERE:
        table.add_row(other.name, other.engine or "a plug-in", "-", "not here", other.how)
    console = Console()
    console.print(table)
    console.print(WHAT_VERIFIED_MEANS)
    console.print(WHAT_PATHS_MEAN)
    offered = Table("engine", "package", "what it says of itself", title="plug-ins")
    for plugin in plugins:
        package = f"{plugin.package} {plugin.version}"
        offered.add_row(plugin.engine, package, escape(plugin.summary))
    if offered.rows:
        console.print(offered)


def _show_run(output: str, record: RunRecord, console: Console, endpoint: str | None) -> None:
    from raypipe.reporting.errors import error_table
    from raypipe.reporting.run.facts import times
    from raypipe.reporting.run.terminal import summary_table
    from raypipe.store.location import Location
    from raypipe.store.query import table_dataset

    tables = Location.parse(output, endpoint)
    metrics, errors = table_dataset(tables, "metrics"), table_dataset(tables, "errors")
    if metrics is not None:
        console.print(summary_table(metrics.to_table()))
    counts = record.done_counts
    if counts.errors and errors is not None:
        console.print(error_table(errors.head(1000)))
    for time in times(record.as_json()):
        console.print(f"{time.term}, {time.text}", highlight=False, markup=False)
    put_in = f"{counts.input} utterances in"
    if counts.cells:
        put_in = f"{counts.utterances} utterances x {len(counts.cells)} models and prompts"
    console.print(
        f"{put_in} = {counts.predicted} predicted"
        f" + {counts.errors} errors; tables and report.html in {output}"
    )


def _pairs(texts: list[str] | None, what: str) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts or ()]
    for key, equals, _ in pairs:
        if not key or not equals:
            raise typer.BadParameter(f"{key!r} is not key=value", param_hint=what)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _print_json(document: object) -> None:
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _values(
    option: str, text: str | None, kind: Callable[[str], Value]
) -> tuple[Value, ...] | None:
    """The values of an option that takes several by commas; None if it was not given."""
    if text is None:
        return None
    try:
        return tuple(kind(part.strip()) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: {error}", param_hint=option) from error


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
