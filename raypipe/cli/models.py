"""``raypipe models``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from raypipe.cli.common import print_json
from raypipe.reporting.console import Console

if TYPE_CHECKING:
    from raypipe.engines.model_list import ListedModel
    from raypipe.engines.plugins import InstalledPlugin

_WIDTH = 80
_INDENT = (0, 0, 0, 2)


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Which models can be run: size, memory, licence, longest clip, and how far that was proved.

    Below them the engines that other installed packages offer.
    """
    from raypipe.engines.families import FAMILIES
    from raypipe.engines.model_list import ELSEWHERE, listed_models, models_as_json, what_words_mean
    from raypipe.engines.own_loaders import OWN_LOADERS
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
    console = Console(width=min(_WIDTH, Console().width), highlight=False)
    listed = listed_models()
    console.print(Padding(_columns(header=True), _INDENT))
    for family in FAMILIES:
        engines = ", ".join(family.engines)
        path = "" if family.decoder is None else f"; {family.decoder}"
        console.print(f"[bold]{escape(family.name)}[/bold]: {engines}{path}; {family.proved}")
        _checkpoints(console, [each for each in listed if each.group == family.name])
    for loader in OWN_LOADERS:
        facts = f"plug-in {loader.engine}; {loader.proved}"
        facts += "" if loader.family is None else f"; the checkpoints of {loader.family}"
        console.print(f"[bold]{escape(loader.name)}[/bold]: {facts}")
        _checkpoints(console, [each for each in listed if each.group == loader.name])
    for other in ELSEWHERE:
        console.print(f"[bold]{escape(other.name)}[/bold]: {other.engine}; {escape(other.how)}")
    _paragraphs(console, "What the words mean", what_words_mean())
    limits = [f"{family.name}: {'; '.join(family.limits_in_words())}." for family in FAMILIES]
    limits += [f"{loader.name}: {loader.limits_in_words()}." for loader in OWN_LOADERS]
    _paragraphs(console, "Limits", limits)
    _offers(console, plugins)


def _columns(*, header: bool) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_header=header)
    table.add_column("checkpoint", width=37, no_wrap=True)
    table.add_column("10^9", width=4, justify="right")
    table.add_column("GiB", width=6, justify="right")
    table.add_column("hub", width=5)
    table.add_column("clip", width=6)
    table.add_column("licence", width=15, overflow="fold")
    return table


def _checkpoints(console: Console, listed: Sequence[ListedModel]) -> None:
    table = _columns(header=False)
    for each in listed:
        table.add_row(*(escape(cell) for cell in each.in_words()))
    if listed:
        console.print(Padding(table, _INDENT))


def _paragraphs(console: Console, title: str, paragraphs: Iterable[str]) -> None:
    console.print(f"\n[bold]{title}[/bold]")
    for paragraph in paragraphs:
        console.print(Padding(Text(paragraph), _INDENT))


def _offers(console: Console, plugins: Sequence[InstalledPlugin]) -> None:
    if not plugins:
        return
    console.print("\n[bold]Installed plug-ins[/bold]")
    table = Table("engine", "package", "what it says of itself", box=None, pad_edge=False)
    for plugin in plugins:
        package = f"{plugin.package} {plugin.version}"
        table.add_row(escape(plugin.engine), escape(package), escape(plugin.summary))
    console.print(Padding(table, _INDENT))
