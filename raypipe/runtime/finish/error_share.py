"""Errors of a run that say that something is broken: raypipe, engine, model or all inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raypipe.errors import ErrorShareError
from raypipe.records import is_refusal
from raypipe.runtime.finish.counts import ModelPrompt
from raypipe.store.damage import damage_named
from raypipe.store.location import Location
from raypipe.store.query import connect

FEWEST_UTTERANCES = 50
"""Utterances after which a share of errors says something, before the run is over."""

_MOST_REASONS = 3


@dataclass(frozen=True, slots=True)
class ErrorReason:
    """Errors of one stage and type, under one model and prompt.

    Attributes:
        example: message of one of them.
    """

    stage: str
    error_type: str
    utterances: int
    example: str

    @property
    def is_refusal(self) -> bool:
        """Whether the inputs were refused for what they are."""
        return is_refusal(self.stage, self.error_type)


def check_error_share(
    tables: Location,
    run: str,
    utterances: int,
    cells: Sequence[ModelPrompt],
    limit: float,
) -> None:
    """Refuse a finished run whose errors cannot be explained by single inputs.

    Refusals of inputs (too long, unreadable, silent) are reported and end it only if all of them
    are refused.

    Args:
        tables: of the run.
        run: id of the run whose rows count.
        utterances: number of utterances of the run.
        cells: every model and prompt that they were put to.
        limit: largest share that raypipe, engine or model may fail, in [0, 1].

    Raises:
        ErrorShareError: with the commonest reasons.
    """
    for cell in cells:
        reasons = _reasons(tables, run, cell)
        failed = sum(reason.utterances for reason in reasons if not reason.is_refusal)
        if failed > limit * utterances:
            raise too_many_errors(tables, run, [cell], failed, utterances, limit)
        if utterances and sum(reason.utterances for reason in reasons) >= utterances:
            raise ErrorShareError(
                f"not one of {utterances} utterances could be used ({_in_words(cell)}): "
                f"{_listed(reasons)}; tables are in {tables.uri}"
            )


def too_many_errors(
    tables: Location,
    run: str,
    cells: Sequence[ModelPrompt],
    failed: int,
    utterances: int,
    limit: float,
) -> ErrorShareError:
    """The error that ends a run, with the commonest reasons so far, of the cell with the most."""
    by_cell = {
        cell: [reason for reason in _reasons(tables, run, cell) if not reason.is_refusal]
        for cell in cells
    }
    worst = max(by_cell, key=lambda cell: sum(reason.utterances for reason in by_cell[cell]))
    broken = by_cell[worst]
    return ErrorShareError(
        f"{failed} of {utterances} utterances failed ({_in_words(worst)}), more than "
        f"max_error_fraction {limit:g}: {_listed(broken)}; tables are in {tables.uri}"
    )


def _reasons(tables: Location, run: str, cell: ModelPrompt) -> list[ErrorReason]:
    """The errors in the tables, most utterances first."""
    with damage_named(tables):
        rows = connect(tables).execute(
            "SELECT stage, error_type, sum(utterances), min(message) FROM errors"
            " WHERE run = ? AND model = ? AND prompt = ? GROUP BY ALL ORDER BY 3 DESC, 1, 2",
            [run, *cell],
        )
        found = rows.fetchall()
    return [
        ErrorReason(str(stage), str(kind), int(number), str(message))
        for stage, kind, number, message in found
    ]


def _in_words(cell: ModelPrompt) -> str:
    model, prompt = cell
    return f"model {model}, prompt {prompt}"


def _listed(reasons: Sequence[ErrorReason]) -> str:
    return "; ".join(
        f"{reason.utterances} x {reason.stage}, {reason.error_type} (such as: {reason.example})"
        for reason in reasons[:_MOST_REASONS]
    )
