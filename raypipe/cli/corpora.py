"""``raypipe corpora``."""

from __future__ import annotations

from typing import Annotated

import typer

from raypipe.cli.common import print_json
from raypipe.reporting.console import Console


def corpora(
    name: Annotated[str | None, typer.Argument(help="One of them, in detail.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the corpora and kinds of own data that can be ingested, with their options."""
    from raypipe.corpora.catalogue import card, catalogue
    from raypipe.reporting.catalogue import detail, listing

    cards = catalogue() if name is None else [card(name)]
    if as_json:
        documents = [source.model_dump(mode="json") for source in cards]
        print_json(documents if name is None else documents[0])
    else:
        Console().print(listing(cards) if name is None else detail(cards[0]))
