"""``raypipe reaggregate``."""

from __future__ import annotations

from typing import Annotated

import typer

from raypipe.cli.common import Address, Endpoint, Insecure, show_run, values
from raypipe.cli.settings import values_given, with_settings
from raypipe.records import Drawn
from raypipe.reporting.console import Console
from raypipe.votes import AnnotatorLabels


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
    draw: Annotated[
        Drawn | None,
        typer.Option(help="What a replicate draws: utterances, or whole speakers."),
    ] = None,
    annotator_labels: Annotated[
        AnnotatorLabels | None,
        typer.Option(help="Annotators' labels that annotator-aware scores take for right."),
    ] = None,
    slices: Annotated[
        str | None,
        typer.Option(help="Columns to slice by, by commas: gender,age,duration_s."),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(help="Label table in the place of the corpus's labels; own: those."),
    ] = None,
    labels_beside: Annotated[
        list[str] | None,
        typer.Option(help="Label table to measure against, too; may be given several times."),
    ] = None,
    endpoint: Endpoint = None,
    address: Address = None,
    insecure: Insecure = False,
    **settings: str | list[bool] | None,
) -> None:
    """Predict from a run's stored hypotheses under other settings, without a model."""
    from raypipe.runtime.reaggregate.plan import Changes, plan_reaggregation

    changes = Changes(
        strategies=values("--strategies", strategies, str),
        settings=values_given(settings),
        sub_beams=values("--sub-beams", sub_beams, int),
        replicates=replicates,
        draw=draw,
        annotator_labels=annotator_labels,
        slices=values("--slices", slices, str),
        labels=labels,
        labels_beside=tuple(labels_beside or ()),
    )
    plan = plan_reaggregation(run, changes, output=output, endpoint=endpoint)

    from raypipe.runtime.reaggregate.job import carry_out  # loads Ray, which checks do without

    console = Console()
    record = carry_out(plan, address=address, console=console)
    show_run(record.config["output"], record, console, endpoint)
