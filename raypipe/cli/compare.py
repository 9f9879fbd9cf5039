"""``raypipe compare``."""

from __future__ import annotations

from typing import Annotated

import typer

from raypipe.cli.common import Endpoint, called, print_json, values
from raypipe.reporting.console import Console


def compare(
    runs: Annotated[
        list[str], typer.Argument(help="Finished runs, paths or s3:// URIs; one is enough.")
    ],
    strategy: Annotated[
        list[str] | None,
        typer.Option(help="Strategy, by its name in tables; several times for several; else all."),
    ] = None,
    metrics: Annotated[
        str, typer.Option(help="Metrics, by commas; p-values are corrected for all of them.")
    ] = "js,bc,accuracy",
    by_speaker: Annotated[
        bool, typer.Option("--by-speaker", help="Draw whole speakers, not single utterances.")
    ] = False,
    replicates: Annotated[int, typer.Option(min=0, help="Bootstrap replicates.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print every pair as JSON, and nothing else.")
    ] = False,
    endpoint: Endpoint = None,
) -> None:
    """Tell apart what runs, models, prompts and strategies predicted for the same utterances."""
    from raypipe.reporting.comparison import comparison_document, comparison_tables
    from raypipe.runtime.finish.comparing import compare_runs
    from raypipe.store.location import Location

    wanted = values("--metrics", metrics, str) or ()
    comparison = compare_runs(
        {name: Location.parse(run, endpoint) for run, name in called(runs).items()},
        strategies=strategy or None,
        metrics=wanted,
        replicates=replicates,
        seed=seed,
        by_speaker=by_speaker,
    )
    if as_json:
        print_json(comparison_document(comparison, wanted))
        return
    console = Console()
    for table in comparison_tables(comparison, wanted):
        console.print(table)
