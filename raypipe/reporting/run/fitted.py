"""What was fitted, to what, and what came of it: for the page of a run and for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from raypipe.reporting.run.scores import Approach, Estimate, Scores
from raypipe.reporting.text import clean, count, interval, percent, score
from raypipe.store.fits import fits_from_table
from raypipe.store.run_record import RunRecord
from raypipe.strategies.catalogue.calibrate import TARGET
from raypipe.strategies.catalogue.conformal import COVERAGE, COVERS
from raypipe.strategies.fitting import CorpusFit
from raypipe.strategies.folds import split_of

_SETTINGS = (TARGET.name, COVERAGE.name, COVERS.name)
_COVERAGE, _SIZE = "set_coverage", "set_size"
_PARAMETERS_SHOWN = 12


@dataclass(frozen=True, slots=True)
class FittedRow:
    """A fitted strategy of one model and prompt, as texts.

    Attributes:
        name: of the strategy; of model and prompt too, where there are several.
        base: name of the strategy that it starts from.
        wanted: the settings that say to what end it is fitted.
        fitted_to: utterances that its parameters are fitted to.
        applied_to: utterances that they are applied to.
        parameters: each with its range over the folds.
        outcome: what its label sets hold; empty without sets.
    """

    name: str
    base: str
    wanted: str
    fitted_to: str
    applied_to: str
    parameters: tuple[str, ...]
    outcome: str


def fitted_rows(fits: pa.Table | None, scores: Scores, run: RunRecord) -> tuple[FittedRow, ...]:
    """A row for every fitted strategy, as the scores are ordered; none without ``fits/``."""
    if fits is None:
        return ()
    known = {Approach(*map(clean, key)): fit for key, fit in fits_from_table(fits).items()}
    settings = {clean(name): values for name, values in (run.settings or {}).items()}
    return tuple(
        _row(approach, known[approach], scores, settings.get(approach.strategy, {}))
        for approach in scores.approaches
        if approach in known
    )


def fitted_lines(rows: Sequence[FittedRow]) -> list[str]:
    """The same as a line each."""
    return [
        f"{row.name}, of {row.base} ({row.wanted}), fitted to {row.fitted_to}: "
        + "; ".join([*row.parameters, *([row.outcome] if row.outcome else [])])
        for row in rows
    ]


def _row(
    approach: Approach,
    fit: CorpusFit,
    scores: Scores,
    settings: Mapping[str, object],
) -> FittedRow:
    known = [name for name in _SETTINGS if name in settings]
    return FittedRow(
        name=scores.name(approach),
        base=clean(fit.base),
        wanted=", ".join(f"{name} {clean(settings[name])}" for name in known),
        fitted_to=_fitted_to(fit),
        applied_to=count(sum(fold.scored_rows for fold in fit.folds)),
        parameters=_parameters(fit),
        outcome=_outcome(scores.get(approach, _COVERAGE), scores.get(approach, _SIZE)),
    )


def _fitted_to(fit: CorpusFit) -> str:
    split = split_of(fit.fit_on)
    if split is None:
        speakers = sum(len(fold.scored_speakers) for fold in fit.folds)
        return f"the other speakers in {len(fit.folds)} folds of {count(speakers)} speakers"
    first = fit.folds[0]
    words = f"the {count(first.fitted_rows)} utterances of split {clean(split)}"
    shared = first.shared_speakers
    if shared is None:
        return f"{words} (whether its speakers are among those it is applied to is not known)"
    if not shared:
        return words
    others = "of its speakers is" if shared == 1 else "of its speakers are"
    return f"{words} ({count(shared)} {others} among those it is applied to)"


def _parameters(fit: CorpusFit) -> tuple[str, ...]:
    values: dict[str, list[float]] = {}
    for fold in fit.folds:
        for name, value in fold.fit.parameters.items():
            values.setdefault(name, []).append(value)
    texts = []
    for name, own in list(values.items())[:_PARAMETERS_SHOWN]:
        low, high = score(min(own)), score(max(own))
        texts.append(f"{clean(name)} {low}" + ("" if low == high else f" to {high}"))
    return tuple(texts)


def _outcome(coverage: Estimate | None, size: Estimate | None) -> str:
    if coverage is None or size is None:
        return ""
    bounds = ""
    if coverage.low is not None and coverage.high is not None:
        bounds = f" {interval(percent(coverage.low), percent(coverage.high))}"
    return (
        f"sets of {score(size.value, 2)} labels on average hold {percent(coverage.value)}{bounds} "
        "of the votes"
    )
