"""Table ``fits/``: the parameters of fitted strategies, and what they were fitted to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

import pyarrow as pa

from raypipe.store.strict import table_from_rows
from raypipe.strategies.fit_rows import Fit
from raypipe.strategies.fitting import CorpusFit, FoldFit

FITS = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("strategy", pa.string(), nullable=False),  # as in predictions and metrics
        pa.field("rule", pa.string(), nullable=False),  # the strategy without its settings
        ("base", pa.string()),  # whose predictions it changes
        ("fit_on", pa.string()),  # speakers, or split:NAME
        pa.field("fold", pa.int32(), nullable=False),
        ("fitted_rows", pa.int64()),  # utterances
        ("fitted_speakers", pa.int64()),
        ("scored_rows", pa.int64()),  # utterances with a valid prediction, of this fold
        ("scored_speakers", pa.list_(pa.string())),  # of this fold; empty for a split
        ("shared_speakers", pa.int64()),  # on both sides; 0 for folds; null: not all are known
        ("parameters", pa.map_(pa.string(), pa.float64())),
        ("loss_before", pa.float64()),  # mean on the fitted rows, without the parameters
        ("loss_after", pa.float64()),  # and with them
    ]
)
"""One row per model, prompt, fitted strategy and fold."""

_OF_A_FOLD = tuple(field.name for field in fields(FoldFit) if field.name != "fit")


def fits_table(fits: Mapping[str, CorpusFit], *, run: str, model: str, prompt: str) -> pa.Table:
    """The rows of one model and prompt.

    Args:
        fits: by the name of the strategy in the tables.
        run: short id of the run, kept in every row, as are ``model`` and ``prompt``.
        model: its name in the tables.
        prompt: its name in the tables.
    """
    rows: list[dict[str, object]] = [
        {
            **{"run": run, "model": model, "prompt": prompt, "strategy": name},
            **{"rule": fit.rule, "base": fit.base, "fit_on": fit.fit_on},
            **{field: getattr(fold, field) for field in _OF_A_FOLD},
            "parameters": list(fold.fit.parameters.items()),
            "loss_before": fold.fit.loss_before,
            "loss_after": fold.fit.loss_after,
        }
        for name, fit in fits.items()
        for fold in fit.folds
    ]
    return table_from_rows(rows, FITS)


def fits_from_table(table: pa.Table) -> dict[tuple[str, str, str], CorpusFit]:
    """What :func:`fits_table` was made of, by model, prompt and strategy."""
    kinds: dict[tuple[str, str, str], tuple[str, str, str]] = {}
    folds: dict[tuple[str, str, str], list[FoldFit]] = {}
    for row in table.to_pylist():
        own = {field: row[field] for field in _OF_A_FOLD}
        own["scored_speakers"] = tuple(own["scored_speakers"])
        fit = Fit(dict(row["parameters"]), row["loss_before"], row["loss_after"])
        key = (row["model"], row["prompt"], row["strategy"])
        kinds[key] = (row["rule"], row["base"], row["fit_on"])
        folds.setdefault(key, []).append(FoldFit(fit=fit, **own))
    return {key: CorpusFit(*kinds[key], tuple(folds[key])) for key in kinds}
