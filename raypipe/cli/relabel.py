"""``raypipe relabel``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from raypipe.cli.common import Address, Insecure
from raypipe.reporting.console import Console


def relabel_command(
    config: Annotated[Path, typer.Argument(help="YAML file of the job.")],
    address: Address = None,
    insecure: Insecure = False,
) -> None:
    """Let a language model change labels by what annotators wrote; again continues."""
    from raypipe.runtime.infer.devices import devices
    from raypipe.runtime.relabel.config import load_relabel_config
    from raypipe.runtime.relabel.plan import plan_relabel

    console = Console()
    settings = load_relabel_config(config)
    plan = plan_relabel(settings, partial(devices, address))

    from raypipe.runtime.relabel.job import carry_out_relabel  # loads Ray

    record = carry_out_relabel(plan, address=address, console=console)

    from raypipe.relabel.label_table import LABEL_TABLE
    from raypipe.reporting.relabel.findings import relabel_findings
    from raypipe.reporting.relabel.page import terminal_table
    from raypipe.reporting.relabel.words import summary
    from raypipe.store.parquet import from_parquet_bytes

    labels = plan.context.labels
    findings = relabel_findings(from_parquet_bytes(plan.tables.read(LABEL_TABLE)), labels)
    console.print(terminal_table(findings, labels))
    console.print(summary(findings), highlight=False)
    counts = record.done_counts
    console.print(
        f"{counts.input} utterances in = {counts.predicted} with labels + {counts.errors} errors;"
        f" label_table.parquet, label_table.csv and report.html in {settings.output}",
        highlight=False,
    )
