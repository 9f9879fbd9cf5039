"""The confusion matrix as texts, ready for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raypipe.labels import LabelSet
from raypipe.reporting.run.digest import PredictionTally
from raypipe.reporting.text import score


@dataclass(frozen=True, slots=True)
class ConfusionCell:
    """Number of utterances with one plurality and one predicted label.

    Attributes:
        n: with a fraction where predictions tie.
        share: of the row, in [0, 1], as CSS reads it.
        text: the share in percent, or a dash in a row without utterances.
    """

    n: float
    share: str
    text: str
    is_diagonal: bool


@dataclass(frozen=True, slots=True)
class ConfusionRow:
    """Utterances whose plurality is one label, by predicted label."""

    label: str
    n: int
    cells: tuple[ConfusionCell, ...]


@dataclass(frozen=True, slots=True)
class Confusion:
    """Plurality of the votes against predicted label.

    Attributes:
        heads: short and full name of each predicted label.
        n: utterances counted.
        ties: utterances left out because their votes have no plurality.
        tied: predictions in which several labels have the largest share, and equal parts of a
            count.
    """

    heads: tuple[tuple[str, str], ...]
    rows: tuple[ConfusionRow, ...]
    n: int
    ties: int
    tied: int


def confusion(tally: PredictionTally, labels: LabelSet) -> Confusion | None:
    """The confusion matrix in shares of its rows; None if no utterance can be counted."""
    if not tally.confusion.any():
        return None
    totals = tally.confusion.sum(axis=1)
    rows = tuple(
        ConfusionRow(
            name,
            round(totals[index]),
            tuple(
                _cell(float(number), round(totals[index]), index == position)
                for position, number in enumerate(tally.confusion[index])
            ),
        )
        for index, name in enumerate(labels.names)
    )
    heads = tuple(zip(short_names(labels.names), labels.names, strict=True))
    return Confusion(heads, rows, round(totals.sum()), tally.ties, tally.tied)


def short_names(labels: Sequence[str]) -> tuple[str, ...]:
    """Three letters of each label, more where two labels would look the same.

    Example:
        >>> short_names(["anger", "contempt", "concern"])
        ('ang', 'cont', 'conc')
    """
    return tuple(_shortest(label, labels) for label in labels)


def _shortest(label: str, labels: Sequence[str]) -> str:
    length = 3
    while length < len(label) and sum(other[:length] == label[:length] for other in labels) > 1:
        length += 1
    return label[:length]


def _cell(n: float, total: int, is_diagonal: bool) -> ConfusionCell:
    share = n / total if total else 0.0
    return ConfusionCell(
        n, f"{share:.3f}", score(100 * share, 0) if total else "\N{EN DASH}", is_diagonal
    )
