"""``raypipe inspect``."""

from __future__ import annotations

from typing import Annotated

import typer

from raypipe.cli.common import Endpoint, print_json
from raypipe.reporting.console import Console
from raypipe.reporting.corpus.findings import SliceBy


def inspect(
    shards: Annotated[str, typer.Argument(help="Folder of shards, a path or s3:// URI.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    output: Annotated[
        str | None, typer.Option(help="Where inspect.html and inspect.json go: a path or s3://.")
    ] = None,
    slice_by: Annotated[
        SliceBy | None, typer.Option(help="Count each of these on its own, too.")
    ] = None,
    endpoint: Endpoint = None,
) -> None:
    """Show what is in a corpus of shards: votes, ambiguity, agreement, durations, failures.

    The exit code is 1 if a shard or row could not be read; the rest is shown.
    """
    from raypipe.reporting.corpus.inspect import inspect_shards
    from raypipe.reporting.corpus.page import write_inspection
    from raypipe.reporting.corpus.terminal import inspection
    from raypipe.store.location import Location

    # Nothing but JSON on stdout.
    with Console(stderr=as_json).status("counting") as status:
        findings = inspect_shards(
            Location.parse(shards, endpoint),
            slice_by=slice_by,
            progress=lambda done, total: status.update(f"counting, {done} of {total} shards"),
        )
    if output is not None:
        write_inspection(findings, Location.parse(output, endpoint))
    if as_json:
        print_json(findings.model_dump(mode="json"))
    else:
        Console().print(inspection(findings))
    if findings.problems:
        raise typer.Exit(1)
