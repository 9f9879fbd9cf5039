"""Scores of arousal, valence and dominance of a run, for its page and a terminal."""

from __future__ import annotations

from dataclasses import dataclass

from raypipe.metrics.attributes import METRICS
from raypipe.records import ATTRIBUTES
from raypipe.reporting.run.headline import with_interval
from raypipe.reporting.run.scores import Approach, Scores
from raypipe.reporting.run.tables import TableCell, estimate_cell
from raypipe.reporting.text import clean, percent

_TITLES = {"ccc": "CCC", "pearson": "Pearson", "mae": "MAE", "rmse": "RMSE"}
HEADS = tuple(_TITLES[metric] for metric in METRICS)
"""Heads of the columns of scores."""


@dataclass(frozen=True, slots=True)
class RatedRow:
    """One attribute as one model rates it.

    Attributes:
        heading: model and prompt where the table has several; empty for the same as above.
        n: utterances that annotators and model rated.
        invalid: share of the rated utterances for which the model gave no usable answer.
        cells: aligned with :data:`HEADS`.
    """

    heading: str
    attribute: str
    n: int
    invalid: str
    cells: tuple[TableCell, ...]


def rated_rows(scores: Scores, slice_name: str = "all") -> tuple[RatedRow, ...]:
    """A row per model, prompt and attribute that the corpus rates."""
    rows = []
    several = len(scores.rated) > 1
    for approach in scores.rated:
        heading = _name(approach) if several else ""
        for attribute in ATTRIBUTES:
            ccc = scores.get(approach, f"ccc={attribute}", slice_name)
            mae = scores.get(approach, f"mae={attribute}", slice_name)
            known = ccc or mae
            if known is None:
                continue
            cells = tuple(
                estimate_cell(scores.get(approach, f"{metric}={attribute}", slice_name))
                for metric in METRICS
            )
            invalid = percent(known.n_invalid / (known.n + known.n_invalid))
            rows.append(RatedRow(heading, attribute, known.n, invalid, cells))
            heading = ""
    return tuple(rows)


def rated_lines(scores: Scores, slice_name: str = "all") -> list[str]:
    """A line per model and prompt with its concordance, for a terminal."""
    lines = []
    for approach in scores.rated:
        known = [
            f"{attribute} {with_interval(estimate)}"
            for attribute in ATTRIBUTES
            if (estimate := scores.get(approach, f"ccc={attribute}", slice_name)) is not None
        ]
        if known:
            where = f" of {_name(approach)}" if len(scores.rated) > 1 else ""
            lines.append(f"CCC{where}: {', '.join(known)}")
    return lines


def _name(approach: Approach) -> str:
    return clean(" · ".join((approach.model, approach.prompt)))
