"""The tables of the report as plain values, ready for a page or a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from raypipe.reporting.run.digest import Tally
from raypipe.reporting.run.headline import compare
from raypipe.reporting.run.scores import PRIOR, Approach, Estimate, Scores
from raypipe.reporting.text import amount, clean, count, difference, interval, percent, score

EXAMPLES_PER_ERROR: Final = 3


Shown = Literal["score", "share", "amount"]


@dataclass(frozen=True, slots=True)
class Measure:
    """One column of scores.

    Attributes:
        metric: its name in the metrics table.
        shown: as a ``score``, in percent (``share``), or as a mean ``amount``.
    """

    metric: str
    title: str
    shown: Shown = "score"


MEASURES: Final = (
    Measure("js", "JS"),
    Measure("bc", "BC"),
    Measure("r2", "R²"),
    Measure("accuracy", "Accuracy"),
    Measure("macro_f1", "Macro-F1"),
)
INVALID: Final = Measure("invalid_rate", "Invalid", "share")
TOKENS: Final = Measure("model_tokens", "Tokens", "amount")
CALLS: Final = Measure("verifier_calls", "Calls", "amount")
ESCALATED: Final = Measure("escalated", "Escalated", "share")


@dataclass(frozen=True, slots=True)
class Cell:
    """One value as text, with its interval where it has one."""

    value: str
    interval: str = ""
    is_best: bool = False


EMPTY: Final = Cell("\N{EN DASH}")


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One approach and its cells, aligned with the table's columns.

    Attributes:
        heading: of the group that begins with this row; empty where none does.
    """

    name: str
    heading: str
    is_baseline: bool
    is_best: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Approaches by measures.

    Attributes:
        n: utterances behind the JS column, smallest and largest; (0, 0) if nothing is scored.
    """

    columns: tuple[str, ...]
    rows: tuple[ScoreRow, ...]
    n: tuple[int, int]


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """The errors of one stage and type."""

    stage: str
    error_type: str
    utterances: int
    examples: tuple[tuple[str, str], ...]


def estimate_cell(estimate: Estimate | None, shown: Shown = "score", *, best: bool = False) -> Cell:
    """A value and its interval as text."""
    if estimate is None:
        return EMPTY
    value = percent(estimate.value) if shown == "share" else _bound(estimate.value, shown)
    if estimate.low is None or estimate.high is None:
        return Cell(value, is_best=best)
    return Cell(value, interval(_bound(estimate.low, shown), _bound(estimate.high, shown)), best)


def _bound(value: float, shown: Shown) -> str:
    if shown == "amount":
        return amount(value)
    return score(100 * value, 1) if shown == "share" else score(value)


def cost_measures(scores: Scores, slice_name: str = "all") -> tuple[Measure, ...]:
    """What the table says of costs: calls only where there were any."""

    def known(measure: Measure) -> list[float]:
        found = (scores.get(one, measure.metric, slice_name) for one in scores.strategies())
        return [estimate.value for estimate in found if estimate is not None]

    shown = ((TOKENS, bool(known(TOKENS))), (CALLS, any(known(CALLS))))
    return tuple(
        measure for measure, wanted in (*shown, (ESCALATED, bool(known(ESCALATED)))) if wanted
    )


def score_table(scores: Scores, slice_name: str = "all") -> ScoreTable:
    """Every approach with every measure, the best value of each column marked.

    A constant predictor may hold the best value of a score and is marked like any other; it is
    never best at giving valid answers, because it gives none.
    """
    measures = list(MEASURES)
    if any(_penalised(scores, approach, slice_name) for approach in scores.strategies()):
        measures.insert(1, Measure("js.invalid_as_uniform", "JS, invalid as uniform"))
    best = {
        measure.metric: _best_value(scores, scores.approaches, measure.metric, slice_name)
        for measure in measures
    }
    ranked_first = scores.best("js", slice_name)
    versus = _versus_prior(scores, slice_name)
    costs = cost_measures(scores, slice_name)
    heads = {group.approaches[0]: group.title for group in scores.groups()}
    rows = []
    for approach in scores.approaches:
        cells = [_cell(scores, approach, measure, slice_name, best) for measure in measures]
        if versus:
            cells.insert(1, versus.get(approach, EMPTY))
        invalid = scores.invalid_rate(approach, slice_name)
        cells.append(EMPTY if approach.is_baseline else estimate_cell(invalid, INVALID.shown))
        for measure in costs:
            paid = scores.get(approach, measure.metric, slice_name)
            cells.append(estimate_cell(paid, measure.shown))
        rows.append(
            ScoreRow(
                scores.short_name(approach),
                heads.get(approach, ""),
                approach.is_baseline,
                approach == ranked_first,
                tuple(cells),
            )
        )
    titles = [measure.title for measure in (*measures, INVALID, *costs)]
    if versus:
        titles.insert(1, "JS \N{MINUS SIGN} prior's")
    found = [scores.get(approach, "js", slice_name) for approach in scores.approaches]
    sizes = [estimate.n for estimate in found if estimate is not None] or [0]
    return ScoreTable(tuple(titles), tuple(rows), (min(sizes), max(sizes)))


def _penalised(scores: Scores, approach: Approach, slice_name: str) -> bool:
    estimate = scores.get(approach, "js.invalid_as_uniform", slice_name)
    invalid = scores.invalid_rate(approach, slice_name)
    return estimate is not None and invalid is not None and invalid.value > 0


def _best_value(
    scores: Scores, approaches: Iterable[Approach], metric: str, slice_name: str
) -> str | None:
    """The best value as it is printed: values that print alike are all best."""
    best = scores.best_of(approaches, metric, slice_name)
    estimate = scores.get(best, metric, slice_name) if best is not None else None
    return score(estimate.value) if estimate is not None else None


def _cell(
    scores: Scores,
    approach: Approach,
    measure: Measure,
    slice_name: str,
    best: Mapping[str, str | None],
) -> Cell:
    estimate = scores.get(approach, measure.metric, slice_name)
    is_best = estimate is not None and score(estimate.value) == best[measure.metric]
    return estimate_cell(estimate, best=is_best)


def _versus_prior(scores: Scores, slice_name: str) -> dict[Approach, Cell]:
    """Paired differences in JS from the prior, for the approaches that have one."""
    cells = {}
    for approach in scores.strategies():
        paired = scores.get(approach, "js", slice_name, versus=PRIOR)
        if paired is None:
            continue
        bounds = ""
        if paired.low is not None and paired.high is not None:
            bounds = interval(difference(paired.low), difference(paired.high))
        cells[approach] = Cell(difference(paired.value), bounds)
    return cells


@dataclass(frozen=True, slots=True)
class SliceRow:
    """One slice: the best strategy beside the prior."""

    name: str
    n: int
    best: Cell
    prior: Cell
    verdict: str
    accuracy: Cell


VERDICTS: Final = {
    "better": "below the prior",
    "worse": "above the prior",
    "equal": "not separable",
}


def slice_table(scores: Scores, best: Approach) -> tuple[SliceRow, ...]:
    """JS of the best strategy and of the prior on every slice but the ambiguity bins."""
    prior = scores.prior(best)
    rows = []
    for name in scores.slices:
        estimate = scores.get(best, "js", name)
        if name.startswith("ambiguity_") or name.startswith("speaker=") or estimate is None:
            continue
        reference = scores.get(prior, "js", name) if prior is not None else None
        verdict = ""
        if reference is not None:
            paired = scores.get(best, "js", name, versus=PRIOR)
            verdict = VERDICTS[compare(estimate, reference, paired)]
        rows.append(
            SliceRow(
                slice_title(name),
                estimate.n,
                estimate_cell(estimate),
                estimate_cell(reference),
                verdict,
                estimate_cell(scores.get(best, "accuracy", name)),
            )
        )
    return tuple(rows)


def slice_title(name: str) -> str:
    """A slice's name as a reader says it.

    Example:
        >>> slice_title("label=anger")
        'plurality anger'
    """
    known = {"all": "all utterances", "majority": "one label has > 50 % of the votes"}
    return known.get(name, clean(name).replace("label=", "plurality ").replace("=", " ", 1))


def error_groups(errors: pa.Table) -> tuple[ErrorGroup, ...]:
    """Errors by stage and type, most utterances first, with the first examples of each."""
    groups: dict[tuple[str, str], tuple[list[int], list[tuple[str, str]]]] = {}
    for batch in errors.to_batches(max_chunksize=4096):
        for row in batch.to_pylist():
            key = (clean(row.get("stage"), 40), clean(row.get("error_type"), 60))
            total, examples = groups.setdefault(key, ([0], []))
            stated = row.get("utterances")
            total[0] += 1 if stated is None else stated
            if len(examples) < EXAMPLES_PER_ERROR:
                examples.append((_place(row), clean(row.get("message"), 240)))
    found = [
        ErrorGroup(stage, kind, total[0], tuple(examples))
        for (stage, kind), (total, examples) in groups.items()
    ]
    return tuple(sorted(found, key=lambda group: (-group.utterances, group.stage)))


def _place(row: Mapping[str, object]) -> str:
    """What failed: the utterance, or else the row of the shard, or else the whole shard."""
    if row.get("utterance_id") is not None:
        return clean(row["utterance_id"], 80)
    parts = [
        f"{name} {clean(row[name], 60)}" for name in ("shard", "row") if row.get(name) is not None
    ]
    return ", ".join(parts) or "unnamed input"


def error_total(errors: pa.Table) -> int:
    """Number of utterances that ended as an error."""
    if "utterances" not in errors.column_names:
        return int(errors.num_rows)
    return int(pc.sum(errors["utterances"]).as_py() or 0)


@dataclass(frozen=True, slots=True)
class ReadingRow:
    """How the answers of one approach were read, or why they could not be."""

    name: str
    rows: int
    valid: int
    rules: tuple[tuple[str, str], ...]
    reasons: tuple[tuple[str, str], ...]


def reading_table(scores: Scores, tallies: Mapping[Approach, Tally]) -> tuple[ReadingRow, ...]:
    """Parsing rules and reasons for invalid answers by approach, most frequent first."""
    return tuple(
        ReadingRow(
            scores.name(approach),
            tally.rows,
            tally.valid,
            _most_common(tally.rules.most_common(6)),
            _most_common(tally.reasons.most_common(6)),
        )
        for approach, tally in sorted(tallies.items(), key=lambda item: rank_of(item[0], scores))
    )


def rank_of(approach: Approach, scores: Scores) -> int:
    """Position of an approach in the strategies table; unknown ones come last."""
    known = scores.approaches
    return known.index(approach) if approach in known else len(known)


def _most_common(counted: Sequence[tuple[str, int]]) -> tuple[tuple[str, str], ...]:
    return tuple((key, count(number)) for key, number in counted)
