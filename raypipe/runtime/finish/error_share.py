"""Errors of a run that say that something is broken: raypipe, engine, model or all inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pyarrow.compute as pc

from raypipe.errors import ErrorShareError
from raypipe.records import is_refusal
from raypipe.reporting.errors import ErrorGroup, ErrorTally
from raypipe.runtime.finish.partition import ModelPrompt, partition
from raypipe.store.location import Location
from raypipe.store.objects import read_object

FEWEST_UTTERANCES = 50
"""Utterances after which a share of errors says something, before the run is over."""

_MOST_REASONS = 3


def errors_by_cell(
    tables: Location, run: str, cells: Iterable[ModelPrompt]
) -> dict[ModelPrompt, ErrorTally]:
    """The errors in the tables up to now; an input without one has no object there.

    Args:
        tables: of the run.
        run: id of the run whose rows count.
        cells: every model and prompt.
    """
    found = {}
    for cell in cells:
        place, tally = tables.child("errors", *partition(*cell).split("/")), ErrorTally()
        for name in place.list():
            rows = read_object(place, name)
            tally = tally.merge(ErrorTally.of(rows.filter(pc.equal(rows["run"], run))))
        found[cell] = tally
    return found


def check_error_share(
    tables: Location,
    errors: Mapping[ModelPrompt, ErrorTally],
    utterances: int,
    limit: float,
) -> None:
    """Refuse a finished run whose errors cannot be explained by single inputs.

    Refusals of inputs (too long, unreadable, silent) are reported and end it only if all of them
    are refused.

    Args:
        tables: of the run, for the message.
        errors: of the run, by every model and prompt that its utterances were put to.
        utterances: number of utterances of the run.
        limit: largest share that raypipe, engine or model may fail, in [0, 1].

    Raises:
        ErrorShareError: with the commonest reasons.
    """
    for cell, tally in errors.items():
        failed = sum(reason.utterances for reason in _broken(tally))
        if failed > limit * utterances:
            raise too_many_errors(tables, {cell: tally}, failed, utterances, limit)
        if utterances and tally.utterances >= utterances:
            raise ErrorShareError(
                f"not one of {utterances} utterances could be used ({_in_words(cell)}): "
                f"{_listed(tally.groups)}; tables are in {tables.uri}"
            )


def too_many_errors(
    tables: Location,
    errors: Mapping[ModelPrompt, ErrorTally],
    failed: int,
    utterances: int,
    limit: float,
) -> ErrorShareError:
    """The error that ends a run, with the commonest reasons so far, of the cell with the most."""
    by_cell = {cell: _broken(tally) for cell, tally in errors.items()}
    worst = max(by_cell, key=lambda cell: sum(reason.utterances for reason in by_cell[cell]))
    return ErrorShareError(
        f"{failed} of {utterances} utterances failed ({_in_words(worst)}), more than "
        f"max_error_fraction {limit:g}: {_listed(by_cell[worst])}; tables are in {tables.uri}"
    )


def _broken(tally: ErrorTally) -> list[ErrorGroup]:
    """What raypipe, engine or model failed, most utterances first."""
    return [group for group in tally.groups if not is_refusal(group.stage, group.error_type)]


def _in_words(cell: ModelPrompt) -> str:
    model, prompt = cell
    return f"model {model}, prompt {prompt}"


def _listed(reasons: Sequence[ErrorGroup]) -> str:
    return "; ".join(
        f"{reason.utterances} x {reason.stage}, {reason.error_type}"
        f" (such as: {reason.examples[0][1]})"
        for reason in reasons[:_MOST_REASONS]
    )
