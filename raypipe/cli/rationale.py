"""``raypipe rationale``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from raypipe.cli.common import Address, Insecure
from raypipe.reporting.console import Console


def rationale_command(
    config: Annotated[Path, typer.Argument(help="YAML file of the job.")],
    address: Address = None,
    insecure: Insecure = False,
) -> None:
    """Let a teacher that hears the clips explain their gold labels; again continues."""
    from raypipe.runtime.infer.devices import devices
    from raypipe.runtime.rationale.config import load_rationale_config
    from raypipe.runtime.rationale.plan import plan_rationale

    console = Console()
    settings = load_rationale_config(config)
    plan = plan_rationale(settings, partial(devices, address))

    from raypipe.runtime.rationale.job import carry_out_rationale, findings_of  # loads Ray

    record = carry_out_rationale(plan, address=address, console=console)

    from raypipe.reporting.rationale.page import (
        headline,
        label_table,
        left_out_line,
        rejection_table,
    )

    findings = findings_of(plan)
    console.print(label_table(findings))
    if findings.rejections:
        console.print(rejection_table(findings))
    for line in (headline(findings), left_out_line(findings)):
        if line:
            console.print(line, highlight=False, markup=False)
    counts = record.done_counts
    console.print(
        f"{counts.input} utterances to ask about = {counts.predicted} answered about + "
        f"{counts.errors} errors; {plan.context.table}/, counts.json and report.html in "
        f"{settings.output}",
        highlight=False,
        markup=False,
    )
