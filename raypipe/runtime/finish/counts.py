"""Counts of what the committed tables hold; they must add up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from raypipe.errors import AccountingError
from raypipe.runtime.finish.partition import ModelPrompt
from raypipe.runtime.finish.tally import CellTally
from raypipe.store.run_record import RunCounts, StrategyCounts


def counts_of(
    tallies: Mapping[ModelPrompt, CellTally],
    utterances: int,
    strategies: Sequence[str],
    fitted_splits: Mapping[str, str] | None = None,
) -> RunCounts:
    """The counts of a run; nothing is taken from memory of the run.

    Args:
        tallies: of all its objects, by every model and prompt that the utterances were put to.
        utterances: number of utterances that went in.
        strategies: those that must have answered every predicted utterance.
        fitted_splits: by strategy, the split whose utterances have no prediction of it, as its
            parameters are fitted to them; there is a strategy without one.
    """
    splits = fitted_splits or {}
    counted = [
        _count_cell(cell, tally, utterances, strategies, splits) for cell, tally in tallies.items()
    ]
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
    cell: ModelPrompt,
    tally: CellTally,
    utterances: int,
    strategies: Sequence[str],
    fitted_splits: Mapping[str, str],
) -> RunCounts:
    model, prompt = cell
    return RunCounts(
        model=model,
        prompt=prompt,
        input=utterances,
        predicted=tally.predicted,
        errors=tally.errors.utterances,
        strategies={
            name: StrategyCounts(
                valid=tally.valid.get(name, 0),
                invalid=tally.invalid.get(name, 0),
                fitted_on=tally.splits.get(fitted_splits[name], 0)
                if name in fitted_splits
                else None,
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
