"""``raypipe selfcheck``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raypipe.reporting.console import Console


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
