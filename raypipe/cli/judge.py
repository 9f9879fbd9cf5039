"""``raypipe judge``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from raypipe.cli.common import Address, Insecure
from raypipe.reporting.console import Console


def judge_command(
    config: Annotated[Path, typer.Argument(help="YAML file of the job.")],
    address: Address = None,
    insecure: Insecure = False,
) -> None:
    """Let a model choose between two systems' reasons, both ways; again continues."""
    from raypipe.runtime.infer.devices import devices
    from raypipe.runtime.judge.config import load_judge_config
    from raypipe.runtime.judge.plan import plan_judge

    console = Console()
    settings = load_judge_config(config)
    plan = plan_judge(settings, partial(devices, address))

    from raypipe.runtime.judge.job import carry_out_judge  # loads Ray

    record = carry_out_judge(plan, address=address, console=console)

    from raypipe.reporting.judge.page import headline, tallies_in, tallies_in_terminal
    from raypipe.store.query import query

    tallies = tallies_in(query(plan.tables, "SELECT * FROM judgements"), record)
    console.print(tallies_in_terminal(tallies, record))
    console.print(headline(tallies[0], record), highlight=False, markup=False)
    counts = record.done_counts
    console.print(
        f"{counts.input} pairs in = {counts.predicted} judged + {counts.errors} errors;"
        f" win_rates.parquet and report.html in {settings.output}",
        highlight=False,
        markup=False,
    )
