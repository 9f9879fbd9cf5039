"""Oracle: counting votes one by one; no row of a strategy without sets."""

from fractions import Fraction

import numpy as np
import pyarrow as pa
from answers import LABELS, Answers, some_answers, table_of

from raypipe.metrics.reduce import CorpusSummary, MetricState


def set_coverage(answers: Answers) -> float:
    shares = []
    for row in np.flatnonzero(answers.valid):
        votes = [int(given) for given in answers.votes[row]]
        inside = [
            given for given, is_in in zip(votes, answers.label_set[row], strict=True) if is_in
        ]
        shares.append(Fraction(sum(inside), sum(votes)))
    return float(sum(shares) / len(shares))


def set_size(answers: Answers) -> float:
    return float(np.mean([row.sum() for row in answers.label_set[answers.valid]]))


ORACLES = {"set_coverage": set_coverage, "set_size": set_size}


def rows_of(table: pa.Table) -> dict[str, dict[str, float | None]]:
    """Values on the whole corpus by strategy and metric."""
    summary = CorpusSummary.from_table(table, LABELS)
    rows: dict[str, dict[str, float | None]] = {}
    for row in MetricState.from_table(table, summary.frame, LABELS, replicates=0).finish():
        if row.slice == "all" and row.versus is None:
            rows.setdefault(row.strategy, {})[row.metric] = row.value
    return rows


def test_strategies_that_differ_in_their_sets_alone_have_coverages_of_their_own() -> None:
    """What predicts the same shares sums; sets are a part of what is predicted."""
    narrow = some_answers()
    wide = some_answers()
    wide.label_set[wide.given] = True
    table = pa.concat_tables([table_of(narrow, "narrow"), table_of(wide, "wide")])
    rows = rows_of(table)
    assert rows["wide"]["set_coverage"] == 1.0
    assert rows["wide"]["set_size"] == 4.0
    assert rows["narrow"]["set_size"] < 4.0  # type: ignore[operator]
    assert rows["narrow"]["js"] == rows["wide"]["js"]


def test_a_strategy_without_sets_has_no_row_of_them_nor_has_a_baseline() -> None:
    answers = some_answers()
    for table in (
        table_of(answers).drop_columns(["label_set"]),
        table_of(answers).set_column(
            table_of(answers).schema.get_field_index("label_set"),
            "label_set",
            pa.nulls(len(answers.votes), pa.list_(pa.string())),
        ),
    ):
        assert not [name for own in rows_of(table).values() for name in own if "set_" in name]
    rows = rows_of(table_of(answers))
    assert "set_size" in rows["w_bon"]
    assert "set_size" not in rows["prior"]
