"""``run.json``: what was run, with what, and counts that add up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from raypipe.errors import AccountingError
from raypipe.store.location import Location
from raypipe.store.query import connect

RECORD = "run.json"


def write_record(tables: Location, record: dict[str, Any]) -> None:
    """Write the run record beside the tables."""
    tables.write(RECORD, json.dumps(record, indent=2, ensure_ascii=False).encode())


def read_record(tables: Location) -> dict[str, Any]:
    """The run record of a finished or unfinished run."""
    record: dict[str, Any] = json.loads(tables.read(RECORD))
    return record


Cell = tuple[str, str]
"""A model and a prompt, by their names in the tables."""


def count_tables(
    tables: Location,
    run: str,
    utterances: int,
    cells: Sequence[Cell],
    strategies: Sequence[str],
) -> dict[str, Any]:
    """Count what the committed tables hold; nothing is taken from memory of the run.

    Args:
        tables: where they lie.
        run: id of the run whose rows count.
        utterances: number of utterances that went in.
        cells: every model and prompt that they were put to.
        strategies: those that must have answered every predicted utterance.

    Returns:
        ``input``, ``predicted`` and ``errors``, and for every strategy its ``valid`` and
        ``invalid`` rows. An utterance counts once for every model and prompt; where there are
        several, ``cells`` has the counts of each.
    """
    counted = [
        {"model": model, "prompt": prompt}
        | _count_cell(tables, run, utterances, (model, prompt), strategies)
        for model, prompt in cells
    ]
    sums: dict[str, Any] = {
        name: sum(cell[name] for cell in counted) for name in ("input", "predicted", "errors")
    }
    sums["strategies"] = {
        name: {
            kind: sum(cell["strategies"][name][kind] for cell in counted)
            for kind in ("valid", "invalid")
        }
        for name in strategies
    }
    return sums if len(cells) == 1 else {"utterances": utterances, **sums, "cells": counted}


def _count_cell(
    tables: Location, run: str, utterances: int, cell: Cell, strategies: Sequence[str]
) -> dict[str, Any]:
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
    errors = connection.execute(
        f"SELECT coalesce(sum(utterances), 0) FROM errors {where}", [run, *cell]
    ).fetchone()
    assert predicted is not None
    assert errors is not None
    found = {name: {"valid": valid, "invalid": invalid} for name, valid, invalid in rows}
    none = {"valid": 0, "invalid": 0}
    return {
        "input": utterances,
        "predicted": predicted[0],
        "errors": int(errors[0]),
        "strategies": {name: found.get(name, none) for name in strategies},
    }


def check_counts(counts: dict[str, Any]) -> None:
    """Every utterance is predicted or an error, and every strategy answers every predicted one.

    So it must be for every model and prompt.

    Raises:
        AccountingError: naming the counts that do not add up.
    """
    for cell in counts.get("cells", ()):
        check_counts(cell)
    if counts["input"] != counts["predicted"] + counts["errors"]:
        raise AccountingError(
            f"{counts['input']} utterances went in, but {counts['predicted']} are predicted and "
            f"{counts['errors']} are errors"
        )
    for strategy, rows in counts["strategies"].items():
        if rows["valid"] + rows["invalid"] != counts["predicted"]:
            raise AccountingError(
                f"strategy {strategy} has {rows['valid']} valid and {rows['invalid']} invalid "
                f"rows for {counts['predicted']} predicted utterances"
            )
