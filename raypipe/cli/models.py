"""``raypipe models``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from raypipe.cli.common import print_json


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Which model families can be run, how each was verified, and what it does not do.

    Below them the engines that other installed packages offer.
    """
    from raypipe.engines.families import FAMILIES
    from raypipe.engines.model_list import (
        ELSEWHERE,
        WHAT_PATHS_MEAN,
        WHAT_VERIFIED_MEANS,
        models_as_json,
    )
    from raypipe.engines.plugins import installed_plugins

    plugins = installed_plugins()
    if as_json:
        offers = [
            {"engine": plugin.engine, "package": plugin.package, "version": plugin.version}
            | {"summary": plugin.summary}
            for plugin in plugins
        ]
        print_json({**models_as_json(), "plugins": offers})
        return
    table = Table("family", "engines", "path", "verified", "limits", show_lines=True)
    table.columns[0].overflow = table.columns[-1].overflow = "fold"
    for family in FAMILIES:
        name = f"{family.name}\n[dim]{family.architecture}[/dim]"
        limits = "; ".join(family.limits_in_words())
        table.add_row(
            name, ", ".join(family.engines), family.decoder or "-", family.verified, limits
        )
    for other in ELSEWHERE:
        table.add_row(other.name, other.engine or "a plug-in", "-", "not here", other.how)
    console = Console()
    console.print(table)
    console.print(WHAT_VERIFIED_MEANS)
    console.print(WHAT_PATHS_MEAN)
    offered = Table("engine", "package", "what it says of itself", title="plug-ins")
    for plugin in plugins:
        package = f"{plugin.package} {plugin.version}"
        offered.add_row(plugin.engine, package, escape(plugin.summary))
    if offered.rows:
        console.print(offered)
