"""The catalogue of corpora for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from raypipe.corpora.catalogue import Option, SelectionCard, SourceCard
from raypipe.reporting.corpus.words import policy_in_words


def listing(cards: Sequence[SourceCard]) -> Table:
    """All of them, one below the other."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    for names, one in _together(cards):
        rows = Table.grid(padding=(0, 2, 0, 0))
        rows.add_column(style="dim", no_wrap=True, min_width=len("selections"))
        rows.add_column()
        if one.licence is not None:
            rows.add_row("licence", Text(one.licence))
        if one.options:
            options = [f"{option.name}={_default(option)}" for option in one.options]
            rows.add_row("options", Text(", ".join(options)))
        for number, selection in enumerate(one.selections):
            term = "selections" if number == 0 else ""
            rows.add_row(term, _noted(selection, is_default=number == 0))
        if not one.selections:
            rows.add_row("labels", Text("given with --label-set"))
        title = Text(one.title, style="bold")
        table.add_row(Text("\n".join(names), style="bold cyan"), Group(title, rows, ""))
    table.add_row("", Text("All about one of them: raypipe corpora NAME", style="dim"))
    return table


def _together(cards: Sequence[SourceCard]) -> list[tuple[list[str], SourceCard]]:
    """Names that stand for the same reader, in the place of the first."""
    found: dict[tuple[str, str], tuple[list[str], SourceCard]] = {}
    for one in cards:
        found.setdefault((one.title, one.about), ([], one))[0].append(one.name)
    return list(found.values())


def _noted(selection: SelectionCard, *, is_default: bool) -> Text:
    default = " (default)" if is_default else ""
    return Text.assemble((selection.name, "cyan"), default, ": ", selection.note)


def detail(card: SourceCard) -> Group:
    """One of them with everything that is known about it."""
    parts: list[RenderableType] = [Text(card.title, style="bold"), "", Text(card.about), ""]
    if card.licence is not None:
        parts += [_fact("Licence", card.licence)]
        sentences = "given to the speakers" if card.fixed_sentences else "the speakers' own"
        parts += [_fact("Sentences", sentences), ""]
    parts.append(Text("Options" if card.options else "No options", style="bold"))
    parts += [_option(one) for one in card.options]
    if card.selections:
        parts += ["", Text("Selections, the default first", style="bold")]
        parts += [_selection(one) for one in card.selections]
    return Group(*parts)


def _fact(term: str, text: str) -> Text:
    return Text.assemble((f"{term}: ", "dim"), text)


def _option(option: Option) -> Padding:
    head = Text.assemble((option.name, "cyan"), f" = {_default(option)}   ", (option.values, "dim"))
    return Padding(Group(head, Padding(Text(option.about), (0, 0, 0, 2))), (0, 0, 0, 2))


def _default(option: Option) -> str:
    if option.default is None or option.default == ():
        return "none"
    return str(option.default).lower() if isinstance(option.default, bool) else str(option.default)


def _selection(one: SelectionCard) -> Padding:
    about = Group(
        Text(one.note),
        _fact("labels", ", ".join(one.labels)),
        _fact("policy", policy_in_words(one.policy)),
    )
    return Padding(Group(Text(one.name, style="cyan"), Padding(about, (0, 0, 0, 2))), (0, 0, 0, 2))
