"""The catalogue of corpora for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from raypipe.corpora.catalogue import OptionCard, SelectionCard, SourceCard
from raypipe.reporting.corpus.words import policy_in_words


def listing(cards: Sequence[SourceCard]) -> Table:
    """Table of all corpora and formats with their options, selections and licences."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    for names, card in _together(cards):
        rows = Table.grid(padding=(0, 2, 0, 0))
        rows.add_column(style="dim", no_wrap=True, min_width=len("selections"))
        rows.add_column()
        if card.licence is not None:
            rows.add_row("licence", Text(card.licence))
        if card.options:
            options = [f"{option.name}={_default(option)}" for option in card.options]
            rows.add_row("options", Text(", ".join(options)))
        for number, selection in enumerate(card.selections):
            term = "selections" if number == 0 else ""
            rows.add_row(term, _noted(selection, is_default=number == 0))
        if not card.selections:
            rows.add_row("labels", Text("given with --label-set"))
        title = Text(card.title, style="bold")
        table.add_row(Text("\n".join(names), style="bold cyan"), Group(title, rows, ""))
    table.add_row("", Text("All about one of them: raypipe corpora NAME", style="dim"))
    return table


def _together(cards: Sequence[SourceCard]) -> list[tuple[list[str], SourceCard]]:
    """Names of each reader with its card, in the place of the first name."""
    together: dict[tuple[str, str], tuple[list[str], SourceCard]] = {}
    for card in cards:
        together.setdefault((card.title, card.about), ([], card))[0].append(card.name)
    return list(together.values())


def _noted(selection: SelectionCard, *, is_default: bool) -> Text:
    default = " (default)" if is_default else ""
    return Text.assemble((selection.name, "cyan"), default, ": ", selection.note)


def detail(card: SourceCard) -> Group:
    """Everything about one corpus or format."""
    parts: list[RenderableType] = [Text(card.title, style="bold"), "", Text(card.about), ""]
    if card.licence is not None:
        parts += [_fact("Licence", card.licence)]
        sentences = "given to the speakers" if card.fixed_sentences else "the speakers' own"
        parts += [_fact("Sentences", sentences), ""]
    parts.append(Text("Options" if card.options else "No options", style="bold"))
    parts += [_option(option) for option in card.options]
    if card.selections:
        parts += ["", Text("Selections, the default first", style="bold")]
        parts += [_selection(selection) for selection in card.selections]
    return Group(*parts)


def _fact(term: str, text: str) -> Text:
    return Text.assemble((f"{term}: ", "dim"), text)


def _option(option: OptionCard) -> Padding:
    head = Text.assemble((option.name, "cyan"), f" = {_default(option)}   ", (option.values, "dim"))
    return Padding(Group(head, Padding(Text(option.about), (0, 0, 0, 2))), (0, 0, 0, 2))


def _default(option: OptionCard) -> str:
    if option.default is None or option.default == ():
        return "none"
    return str(option.default).lower() if isinstance(option.default, bool) else str(option.default)


def _selection(selection: SelectionCard) -> Padding:
    about = Group(
        Text(selection.note),
        _fact("labels", ", ".join(selection.labels)),
        _fact("policy", policy_in_words(selection.policy)),
    )
    return Padding(
        Group(Text(selection.name, style="cyan"), Padding(about, (0, 0, 0, 2))), (0, 0, 0, 2)
    )
