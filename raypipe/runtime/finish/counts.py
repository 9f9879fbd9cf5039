"""Counts of what the committed tables hold; they must add up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from raypipe.errors import AccountingError
from raypipe.store.damage import damage_named
from raypipe.store.location import Location
from raypipe.store.query import connect
from raypipe.store.run_record import RunCounts, StrategyCounts

ModelPrompt = tuple[str, str]
"""A model and a prompt, by their names in the tables."""


def count_tables(
    tables: Location,
    run: str,
    utterances: int,
    cells: Sequence[ModelPrompt],
    strategies: Sequence[str],
    fitted_splits: Mapping[str, str] | None = None,
) -> RunCounts:
    """Count what the committed tables hold; nothing is taken from memory of the run.

    Args:
        tables: where they lie.
        run: id of the run whose rows count.
        utterances: number of utterances that went in.
        cells: every model and prompt that they were put to.
        strategies: those that must have answered every predicted utterance.
        fitted_splits: by strategy, the split whose utterances have no prediction of it, as its
            parameters are fitted to them; there is a strategy without one.
    """
    splits = fitted_splits or {}
    with damage_named(tables):
        counted = [_count_cell(tables, run, utterances, cell, strategies, splits) for cell in cells]
    if len(counted) == 1:
        return counted[0].model_copy(update={"model": None, "prompt": None})
    return RunCounts(
        input=sum(cell.input for cell in counted),
        predicted=sum(cell.predicted for cell in counted),
        errors=sum(cell.errors for cell in counted),
        strategies={
            name: StrategyCounts(
                valid=sum(cell.strategies[name].valid for cell in counted),
                invalid=sum(cell.strategies[name].invalid for cell in counted),
                fitted_on=sum(cell.strategies[name].fitted_on or 0 for cell in counted)
                if name in splits
                else None,
            )
            for name in strategies
        },
        utterances=utterances,
        cells=tuple(counted),
    )


def _count_cell(
    tables: Location,
    run: str,
    utterances: int,
    cell: ModelPrompt,
    strategies: Sequence[str],
    fitted_splits: Mapping[str, str],
) -> RunCounts:
    where = "WHERE run = ? AND model = ? AND prompt = ?"

    connection = connect(tables)
    rows = connection.execute(
        "SELECT strategy, count(*) FILTER (valid), count(*) FILTER (NOT valid)"
        f" FROM predictions {where} GROUP BY strategy",
        [run, *cell],
    ).fetchall()
    predicted = connection.execute(
        f"SELECT count(DISTINCT utterance_id) FROM predictions {where}", [run, *cell]
    ).fetchone()
    in_split = dict(
        connection.execute(
            f"SELECT split, count(DISTINCT utterance_id) FROM predictions {where} GROUP BY split",
            [run, *cell],
        ).fetchall()
        if fitted_splits
        else ()
    )
    errors = connection.execute(
        f"SELECT coalesce(sum(utterances), 0) FROM errors {where}", [run, *cell]
    ).fetchone()
    assert predicted is not None
    assert errors is not None
    counts = {name: (valid, invalid) for name, valid, invalid in rows}
    model, prompt = cell
    return RunCounts(
        model=model,
        prompt=prompt,
        input=utterances,
        predicted=predicted[0],
        errors=int(errors[0]),
        strategies={
            name: StrategyCounts(
                valid=counts.get(name, (0, 0))[0],
                invalid=counts.get(name, (0, 0))[1],
                fitted_on=in_split.get(fitted_splits[name], 0) if name in fitted_splits else None,
            )
            for name in strategies
        },
    )


def check_counts(counts: RunCounts) -> None:
    """Every utterance is predicted or an error, and every strategy answers every predicted one.

    So it must be for every model and prompt.

    Raises:
        AccountingError: naming the counts that do not add up.
    """
    for cell in counts.cells:
        check_counts(cell)
    if counts.input != counts.predicted + counts.errors:
        raise AccountingError(
            f"{counts.input} utterances went in, but {counts.predicted} are predicted and "
            f"{counts.errors} are errors"
        )
    for strategy, rows in counts.strategies.items():
        if rows.valid + rows.invalid + (rows.fitted_on or 0) != counts.predicted:
            fitted = f", and was fitted to {rows.fitted_on}," if rows.fitted_on else ""
            raise AccountingError(
                f"strategy {strategy} has {rows.valid} valid and {rows.invalid} invalid "
                f"rows{fitted} for {counts.predicted} predicted utterances"
            )
