"""``raypipe strategies``."""

from __future__ import annotations

from typing import Annotated

import typer

from raypipe.cli.common import print_json
from raypipe.reporting.console import Console


def strategies_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the strategies: what each predicts, what it asks and which settings change it."""
    from raypipe.strategies.listing import strategy_cards, strategy_table

    cards = strategy_cards()
    if as_json:
        print_json([card.model_dump(mode="json") for card in cards])
    else:
        Console().print(strategy_table(cards))
