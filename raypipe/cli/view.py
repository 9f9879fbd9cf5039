"""``raypipe view``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from raypipe.cli.common import Endpoint


def view(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Run directories, paths or s3:// URIs; several stand side by side.",
        ),
    ],
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 for any free one.")
    ] = 0,
    shards: Annotated[
        str | None,
        typer.Option(help="Where the recordings are now; default: where the run read them."),
    ] = None,
    endpoint: Endpoint = None,
) -> None:
    """Look into a run in a browser: search, filter, sort, listen, read what the model wrote."""
    from raypipe.reporting.view.server import running_view

    try:
        places = list(dict.fromkeys(runs))
        with running_view(places, endpoint=endpoint, shards=shards, port=port) as running:
            sys.stdout.write(f"Open {running.address}\n")
            sys.stdout.write("The address works once. Ctrl-C ends the view.\n")
            sys.stdout.flush()
            running.serve()
    except KeyboardInterrupt:
        sys.stdout.write("\nThe view has ended.\n")
