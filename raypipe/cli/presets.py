"""``raypipe presets``."""

from __future__ import annotations

from typing import Annotated

import typer

from raypipe.cli.common import Endpoint, called, print_json
from raypipe.reporting.console import Console


def presets(
    preset: Annotated[str | None, typer.Argument(help="Preset; without it: all of them.")] = None,
    runs: Annotated[
        list[str] | None,
        typer.Argument(help="Finished runs of one corpus, paths or s3:// URIs; without: rules."),
    ] = None,
    strategy: Annotated[
        list[str] | None,
        typer.Option(help="Strategy, by its name in tables; several times for several; else all."),
    ] = None,
    replicates: Annotated[int, typer.Option(min=0, help="Bootstrap replicates.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
    endpoint: Endpoint = None,
) -> None:
    """Score runs as a paper does, beside what it printed; or show how papers score."""
    from raypipe.metrics.presets.registry import preset_named
    from raypipe.metrics.presets.scoring import matching_figures, preset_scores
    from raypipe.reporting import presets as pages
    from raypipe.runtime.finish.comparing import read_systems
    from raypipe.store.location import Location

    console = Console()
    if preset is None:
        console.print(pages.presets_table())
        return
    chosen = preset_named(preset)
    if not runs:
        console.print(pages.conventions_table(chosen))
        return
    read = read_systems(
        {name: Location.parse(run, endpoint) for run, name in called(runs).items()},
        strategy or None,
    )
    scores = preset_scores(chosen, read.systems, read.labels, replicates=replicates, seed=seed)
    if as_json:
        print_json(pages.preset_document(chosen, scores, read.datasets, len(read.labels)))
        return
    figures = matching_figures(chosen, read.datasets)
    console.print(pages.scores_table(chosen, scores, figures))
    for warning in pages.warnings(chosen, read.datasets, len(read.labels), figures):
        console.print(warning, highlight=False, markup=False)
