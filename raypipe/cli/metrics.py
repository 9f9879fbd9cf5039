"""``raypipe metrics``."""

from __future__ import annotations

from typing import Annotated

import typer

from raypipe.cli.common import print_json
from raypipe.reporting.console import Console


def metrics(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the metrics: what each is, its range, which way is better, when it is undefined."""
    from raypipe.metrics.listing import documents, terminal_table

    if as_json:
        print_json(documents())
    else:
        Console().print(terminal_table())
