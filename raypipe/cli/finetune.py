"""``raypipe finetune``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raypipe.cli.common import Address, Insecure
from raypipe.reporting.console import Console


def finetune_command(
    config: Annotated[Path, typer.Argument(help="YAML file of the job.")],
    address: Address = None,
    insecure: Insecure = False,
) -> None:
    """Train a LoRA adapter on exported answers; again goes on from the last checkpoint."""
    from raypipe.runtime.finetune.config import load_finetune_config
    from raypipe.runtime.finetune.plan import plan_finetune

    console = Console()
    settings = load_finetune_config(config)
    plan = plan_finetune(settings)

    from raypipe.runtime.finetune.job import carry_out_finetune  # loads Ray

    record = carry_out_finetune(plan, address=address, console=console)
    counts = record.counts
    kept = "the last step" if record.best_step is None else f"step {record.best_step}"
    loss = ""
    if record.development_loss is not None:
        loss = f", development loss {record.development_loss:.4f}"
    console.print(f"{record.steps} steps; the adapter of {kept} is kept{loss}", highlight=False)
    console.print(
        f"{counts.train} + {counts.development} examples, {counts.left_out} left out, "
        f"{counts.cut} cut by {counts.cut_tokens} tokens; adapter, training.jsonl and report.html "
        f"in {settings.output}",
        highlight=False,
    )
