"""``raypipe verify``."""

from __future__ import annotations

from typing import Annotated

import typer

from raypipe.cli.common import Endpoint
from raypipe.reporting.console import Console


def verify(
    run: Annotated[str, typer.Argument(help="Run directory, a path or s3:// URI.")],
    endpoint: Endpoint = None,
) -> None:
    """Read every object of a run whole, compare it with its digest and the rows with run.json."""
    from raypipe.reporting.text import count, visible
    from raypipe.runtime.finish.verify import verify_run
    from raypipe.store.location import Location

    console = Console(soft_wrap=True, highlight=False, markup=False)
    found = verify_run(Location.parse(run, endpoint))
    for each in found.damaged:
        console.print(visible(f"damaged: {each.name}: {each.fault}"))
    for told in found.miscounted:
        console.print(visible(f"miscounted: {told}"))
    size = sum(each.size for each in found.objects)
    rows = sum(each.rows or 0 for each in found.objects)
    console.print(
        f"{count(len(found.objects))} objects, {count(size)} bytes, {count(rows)} rows read; "
        f"{len(found.damaged)} damaged, "
        f"{sum(not each.has_digest for each in found.objects)} without a digest of the whole"
    )
    if found.damaged:
        console.print("Remove what is damaged: the command that wrote it writes it again.")
    if found.damaged or found.miscounted:
        raise typer.Exit(1)
