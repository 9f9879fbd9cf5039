"""Strategies and questions as they are listed: by commands, in documentation, as JSON.

``python -m raypipe.strategies.listing`` writes their tables into the READMEs of a checkout again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from rich.table import Table

from raypipe.generated import write_table
from raypipe.questions import QUESTIONS
from raypipe.strategies.reading import Variant, settings_of
from raypipe.strategies.registry import SETTINGS, STRATEGIES
from raypipe.strategies.setting import Settings
from raypipe.strategies.strategy import Strategy


class SettingCard(BaseModel):
    """A setting as it is listed.

    Attributes:
        option: of ``reaggregate``, without dashes in front.
        default: its value where none is given.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    summary: str
    section: str
    option: str
    default: bool | int | float | str


class StrategyCard(BaseModel):
    """A strategy as it is listed.

    Attributes:
        source: paper and equation; empty for raypipe's own.
        questions: names of those that it reads; of one that reads others, theirs by default.
        settings: names of those that change its predictions.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    summary: str
    source: str
    questions: tuple[str, ...]
    settings: tuple[str, ...]


class QuestionCard(BaseModel):
    """A question as it is listed.

    Attributes:
        kind: of the hypotheses that answer it, in ``generations/``.
        recorded: what of an answer is kept.
        requires: names of capabilities that an engine must have.
        read_by: names of the strategies that read it.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    summary: str
    kind: str
    recorded: str
    requires: tuple[str, ...]
    read_by: tuple[str, ...]


def strategy_cards() -> list[StrategyCard]:
    """Every strategy, in the order of reports."""
    return [
        StrategyCard(
            name=strategy.name,
            summary=strategy.summary,
            source=strategy.source,
            questions=_questions(strategy.name),
            settings=settings_of(strategy),
        )
        for strategy in STRATEGIES.values()
    ]


def question_cards() -> list[QuestionCard]:
    """Every question, in the order in which they are asked."""
    return [
        QuestionCard(
            name=question.name,
            summary=question.summary,
            kind=question.kind,
            recorded=question.recorded,
            requires=tuple(sorted(question.requires)),
            read_by=tuple(name for name in STRATEGIES if question.name in _questions(name)),
        )
        for question in QUESTIONS.values()
    ]


def setting_cards() -> list[SettingCard]:
    """Every setting of every strategy."""
    return [
        SettingCard(
            name=setting.name,
            summary=setting.summary,
            section=setting.section,
            option=setting.option,
            default=setting.default,
        )
        for setting in SETTINGS.values()
    ]


def _questions(name: str) -> tuple[str, ...]:
    parts = [STRATEGIES[part] for part in Variant(name, name, Settings()).parts]
    read = [part.questions for part in parts if isinstance(part, Strategy)]
    return tuple(dict.fromkeys(question for questions in read for question in questions))


def strategy_table(cards: list[StrategyCard]) -> Table:
    """The strategies for a terminal."""
    table = Table("strategy", "the distribution is", "asks", "settings", "source", show_lines=True)
    for card in cards:
        asks, settings = ", ".join(card.questions), ", ".join(card.settings)
        table.add_row(card.name, card.summary, asks, settings, card.source or "-")
    return table


def question_table(cards: list[QuestionCard]) -> Table:
    """The questions for a terminal."""
    table = Table("question", "asked is", "kept is", "needs", "read by", show_lines=True)
    for card in cards:
        needs, readers = ", ".join(card.requires) or "-", ", ".join(card.read_by) or "-"
        table.add_row(card.name, card.summary, card.recorded, needs, readers)
    return table


def strategies_markdown() -> str:
    """The table of strategies for a README."""
    rows = [
        f"| `{card.name}` | {card.summary} | {_codes(card.questions)} | {_codes(card.settings)} |"
        for card in strategy_cards()
    ]
    head = [
        "| strategy | the distribution is | it asks | its settings |",
        "| --- | --- | --- | --- |",
    ]
    return "\n".join([*head, *rows])


def questions_markdown() -> str:
    """The table of questions for a README."""
    rows = [
        f"| `{card.name}` | {card.summary} | {card.recorded} | {_codes(card.read_by)} |"
        for card in question_cards()
    ]
    head = ["| question | asked is | kept is | read by |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *rows])


def settings_markdown() -> str:
    """The table of settings for a README."""
    rows = [
        f"| `{card.section}.{card.name}` | {card.summary} | `{card.default}` | `--{card.option}` |"
        for card in setting_cards()
    ]
    head = ["| setting | it is | default | option of `reaggregate` |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *rows])


def _codes(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


_FOLDER = Path(__file__).parents[1]
PAGES: Mapping[str, Path] = {
    "strategies": _FOLDER / "strategies" / "README.md",
    "settings": _FOLDER / "strategies" / "README.md",
    "questions": _FOLDER / "questions" / "README.md",
}
"""READMEs with a generated table, by the table's name."""

TABLES: Mapping[str, Callable[[], str]] = {
    "strategies": strategies_markdown,
    "settings": settings_markdown,
    "questions": questions_markdown,
}
"""What makes each table."""


def write_tables() -> None:
    """Put the tables of the registries between their marks in the READMEs."""
    for name, page in PAGES.items():
        write_table(page, name, TABLES[name]())


if __name__ == "__main__":
    write_tables()
