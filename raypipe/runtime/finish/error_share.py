"""Errors of a run that say that something is broken: raypipe, engine, model or all inputs."""

from __future__ import annotations

from collections.abc import Sequence

from raypipe.errors import ErrorShareError
from raypipe.records import is_refusal
from raypipe.runtime.finish.counts import ModelPrompt
from raypipe.store.location import Location
from raypipe.store.query import connect

FEWEST_UTTERANCES = 50
"""Utterances after which a share of errors says something, before the run is over."""

_MOST_REASONS = 3


def check_error_share(
    tables: Location,
    run: str,
    utterances: int,
    cells: Sequence[ModelPrompt],
    limit: float,
) -> None:
    """End a run whose errors cannot be explained by single inputs.

    Refusals of inputs (too long, unreadable, silent) are reported and end it only if all of them
    are refused.

    Args:
        tables: of the run.
        run: id of the run whose rows count.
        utterances: number of utterances that are done.
        cells: every model and prompt that they were put to.
        limit: largest share that raypipe, engine or model may fail, in [0, 1].

    Raises:
        ErrorShareError: with the commonest reasons.
    """
    for model, prompt in cells:
        rows = connect(tables).execute(
            "SELECT stage, error_type, sum(utterances), min(message) FROM errors"
            " WHERE run = ? AND model = ? AND prompt = ? GROUP BY ALL ORDER BY 3 DESC, 1, 2",
            [run, model, prompt],
        )
        reasons = [
            (str(stage), str(kind), int(n), str(text)) for stage, kind, n, text in rows.fetchall()
        ]
        broken = [reason for reason in reasons if not is_refusal(reason[0], reason[1])]
        failed = sum(number for *_, number, _ in broken)
        refused = sum(number for *_, number, _ in reasons) - failed
        where = f"model {model}, prompt {prompt}"
        if failed > limit * utterances:
            raise ErrorShareError(
                f"{failed} of {utterances} utterances failed ({where}), more than "
                f"max_error_fraction {limit:g}: {_in_words(broken)}"
            )
        if utterances and failed + refused >= utterances:
            raise ErrorShareError(
                f"not one of {utterances} utterances could be used ({where}): {_in_words(reasons)}"
            )


def _in_words(reasons: Sequence[tuple[str, str, int, str]]) -> str:
    return "; ".join(
        f"{number} x {stage}, {kind} (such as: {message})"
        for stage, kind, number, message in reasons[:_MOST_REASONS]
    )
