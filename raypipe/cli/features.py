"""``raypipe features``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raypipe.cli.common import Address, Insecure
from raypipe.reporting.console import Console


def features_command(
    config: Annotated[Path, typer.Argument(help="YAML file of the job.")],
    address: Address = None,
    insecure: Insecure = False,
) -> None:
    """Encode a corpus of shards with frozen encoders; the same command again continues."""
    from raypipe.runtime.features.config import load_features_config
    from raypipe.runtime.features.plan import plan_features

    console = Console()
    settings = load_features_config(config)
    plan = plan_features(settings)

    from raypipe.runtime.features.job import carry_out_features  # loads Ray

    record = carry_out_features(plan, address=address, console=console)
    for cell in record.done_counts.cells:
        console.print(
            f"{cell.model}, {cell.prompt}: {cell.input} utterances in = {cell.predicted} encoded"
            f" + {cell.errors} errors",
            highlight=False,
        )
    console.print(f"features in {settings.output}", highlight=False)
