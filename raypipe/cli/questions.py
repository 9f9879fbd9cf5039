"""``raypipe questions``."""

from __future__ import annotations

from typing import Annotated

import typer

from raypipe.cli.common import print_json
from raypipe.reporting.console import Console


def questions_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the questions that a model can be asked, and what answers them."""
    from raypipe.strategies.listing import question_cards, question_table

    cards = question_cards()
    if as_json:
        print_json([card.model_dump(mode="json") for card in cards])
    else:
        Console().print(question_table(cards))
