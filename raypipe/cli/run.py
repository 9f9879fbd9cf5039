"""``raypipe run``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from raypipe.cli.common import Address, Insecure, show_run
from raypipe.reporting.console import Console


def run_command(
    config: Annotated[Path, typer.Argument(help="YAML file of the run.")],
    address: Address = None,
    insecure: Insecure = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first utterances.")] = None,
) -> None:
    """Run a corpus of shards through a model; the same command again continues."""
    from raypipe.config import load_config
    from raypipe.runtime.infer.devices import devices
    from raypipe.runtime.infer.plan import make_plan

    console = Console()
    settings = load_config(config)
    if limit is not None:
        updated = settings.input.model_copy(update={"limit": limit})
        settings = settings.model_copy(update={"input": updated})
    plan = make_plan(settings, partial(devices, address))

    from raypipe.runtime.infer.pipeline import carry_out  # loads Ray, which checks do without

    record = carry_out(plan, address=address, console=console)
    show_run(settings.output, record, console, settings.storage.endpoint)
