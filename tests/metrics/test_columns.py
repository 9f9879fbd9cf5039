"""Slices by columns of the corpus, against sums made here from single utterances."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics as sklearn_metrics
from tables_of_predictions import predictions_table, random_votes

from raypipe.errors import AccountingError
from raypipe.labels import LabelSet
from raypipe.metrics.bootstrap import poisson_weights
from raypipe.metrics.columns import (
    FEWEST_SPEAKERS,
    FEWEST_UTTERANCES,
    MOST_VALUES,
    clusters,
    column_values,
    sliced_column,
)
from raypipe.metrics.reduce import CorpusSummary, MetricRow, MetricState
from raypipe.metrics.registry import per_utterance
from raypipe.store.metric_tables import metrics_table

LABELS = LabelSet(("anger", "fear", "neutral", "sadness"))
COUNT, REPLICATES, SEED = 600, 80, 3
RNG = np.random.default_rng(5)
IDS = [f"u{number:04d}" for number in range(COUNT)]
VOTES = random_votes(COUNT, 4, seed=2)
VOTES[::31] = 0.0
LABELLED = VOTES.any(axis=1)
SOFT = VOTES / np.maximum(VOTES.sum(axis=1, keepdims=True), 1.0)
NOISE = RNG.dirichlet(np.ones(4), COUNT)
SPEAKERS = [f"s{number % 75}" for number in range(COUNT)]
# Rooms differ within a speaker, genders and ages do not; women are heard badly.
ROOM = [("kitchen", "hall", "street", None)[value] for value in RNG.integers(0, 4, COUNT)]
GENDER = ["female" if number % 75 < 30 else "male" for number in range(COUNT)]
AGE = [str(20 + (number % 75) % 60) for number in range(COUNT)]
DURATION = np.round(RNG.gamma(4.0, 0.7, COUNT), 3)
SHARE = np.where(np.array(GENDER) == "female", 0.2, 0.7)[:, None]
PROBS = SHARE * np.where(LABELLED[:, None], SOFT, 0.25) + (1 - SHARE) * NOISE
PROBS[RNG.random(COUNT) < 0.08] = np.nan


def with_facts(table: pa.Table, **columns: list[str | None]) -> pa.Table:
    place = [IDS.index(name) for name in table["utterance_id"].to_pylist()]
    facts = [
        [(name, values[row]) for name, values in columns.items() if values[row] is not None]
        for row in place
    ]
    table = table.append_column("facts", pa.array(facts, pa.map_(pa.string(), pa.string())))
    return table.append_column("duration_s", pa.array(DURATION[place]))


TABLE = with_facts(
    predictions_table(IDS, VOTES, {"greedy": PROBS, "cot": NOISE}, LABELS, speakers=SPEAKERS),
    room=ROOM,
    gender=GENDER,
    age=AGE,
)
COLUMNS = ("room", "gender", "age", "duration_s")


def state_of(tables: list[pa.Table], columns: tuple[str, ...] = COLUMNS) -> MetricState:
    summary = CorpusSummary.merge_all(
        [CorpusSummary.from_table(table, LABELS, columns) for table in tables]
    )
    states = [
        MetricState.from_table(table, summary.frame, LABELS, replicates=REPLICATES, seed=SEED)
        for table in tables
    ]
    return reduce(MetricState.merge, states)


@pytest.fixture(scope="module")
def state() -> MetricState:
    return state_of([TABLE])


Rows = dict[tuple[str, str, str], MetricRow]


@pytest.fixture(scope="module")
def rows(state: MetricState) -> Rows:
    return {
        (row.strategy, row.slice, row.metric): row for row in state.finish() if row.versus is None
    }


VALID = LABELLED & ~np.isnan(PROBS).any(axis=1)
JS = np.zeros(COUNT)
JS[VALID] = per_utterance(SOFT[VALID], PROBS[VALID])["js"]
PLURALITY = np.where(
    (VOTES.max(axis=1, keepdims=True) == VOTES).sum(axis=1) > 1, -1, VOTES.argmax(axis=1)
)


def value_of(metric: str, chosen: np.ndarray, weights: np.ndarray) -> float:
    """One metric of one strategy on some utterances, weighted."""
    if metric == "js":
        return float((JS * weights)[chosen].sum() / weights[chosen].sum())
    scored = chosen & (PLURALITY >= 0)
    times = np.repeat(np.flatnonzero(scored), weights[scored].astype(int))
    predicted = PROBS[times].argmax(axis=1)
    return float(sklearn_metrics.f1_score(PLURALITY[times], predicted, average="macro"))


@pytest.mark.parametrize("metric", ["js", "macro_f1"])
@pytest.mark.parametrize(
    ("column", "values", "drawn"), [("room", ROOM, IDS), ("gender", GENDER, SPEAKERS)]
)
def test_differences_from_the_rest_agree_with_a_computation_of_their_own(
    rows: Rows, column: str, values: list[str | None], drawn: list[str], metric: str
) -> None:
    weights = poisson_weights(drawn, REPLICATES, SEED).T.astype(float)
    names = sorted({value for value in values if value is not None})
    known = VALID & np.array([value is not None for value in values])
    inside = {name: known & (np.array(values, dtype=object) == name) for name in names}
    point, drawn_values = [], []
    for name in names:
        rest = known & ~inside[name]
        point.append(
            value_of(metric, inside[name], np.ones(COUNT)) - value_of(metric, rest, np.ones(COUNT))
        )
        drawn_values.append(
            [value_of(metric, inside[name], w) - value_of(metric, rest, w) for w in weights]
        )
    replicates = np.sort(np.array(drawn_values), axis=1)
    rank = max(
        r
        for r in range(1, REPLICATES // 2)
        if np.mean(
            [
                all(
                    ordered[r - 1] <= values[at] <= ordered[REPLICATES - r]
                    for ordered, values in zip(replicates, drawn_values, strict=True)
                )
                for at in range(REPLICATES)
            ]
        )
        >= 0.95
    )
    for name, middle, ordered in zip(names, point, replicates, strict=True):
        row = rows["greedy", f"{column}={name}", f"{metric}.minus_rest"]
        found = (row.value, row.ci_low, row.ci_high)
        assert found == pytest.approx(
            (middle, ordered[rank - 1], ordered[REPLICATES - rank]), abs=1e-8
        )
        assert row.n == (inside[name] & ((PLURALITY >= 0) | (metric == "js"))).sum()
        assert row.note is None


def test_a_slice_has_the_values_of_its_utterances_and_the_weights_of_its_speakers(
    rows: Rows,
) -> None:
    for values, name, drawn in ((ROOM, "room=hall", IDS), (GENDER, "gender=female", SPEAKERS)):
        inside = VALID & (np.array(values, dtype=object) == name.partition("=")[2])
        row = rows["greedy", name, "js"]
        assert (row.value, row.n) == (pytest.approx(JS[inside].mean(), abs=1e-8), inside.sum())
        weights = poisson_weights(drawn, REPLICATES, SEED)[inside].T
        ends = np.quantile((weights @ JS[inside]) / weights.sum(axis=1), [0.025, 0.975])
        assert (row.ci_low, row.ci_high) == pytest.approx(tuple(ends), abs=1e-8)


def test_bins_of_numbers_hold_what_their_names_say_and_are_about_equal(rows: Rows) -> None:
    for column, numbers in (("duration_s", DURATION), ("age", np.array(AGE, dtype=float))):
        names = sorted({key[1] for key in rows if key[1].startswith(f"{column}=")})
        bins = 3 if column == "age" else 5
        assert len(names) == bins
        counted = 0
        for name in names:
            low, high = name.partition("=")[2][1:-1].split(", ")
            inside = LABELLED & (numbers >= float(low)) & (numbers < float(high))
            row = rows["greedy", name, "js"]
            assert row.n + row.n_invalid == inside.sum()
            counted += inside.sum()
            assert abs(inside.sum() - LABELLED.sum() / bins) <= LABELLED.sum() / 60 + 1
        assert counted == LABELLED.sum()


@pytest.mark.parametrize(("pieces", "seed"), [(2, 0), (7, 1), (64, 2)])
def test_any_cut_gives_the_same_bits(state: MetricState, pieces: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    place = dict(zip(IDS, rng.integers(0, pieces, COUNT), strict=True))
    piece_of = np.array([place[name] for name in TABLE["utterance_id"].to_pylist()])
    parts = [np.flatnonzero(piece_of == piece) for piece in range(pieces)]
    tables = [TABLE.take(rng.permutation(rows)) for rows in parts if rows.size]
    again = state_of([tables[place] for place in rng.permutation(len(tables))])
    assert metrics_table(again.finish()).equals(metrics_table(state.finish()))


def test_what_is_not_sliced_stays_what_it_was(rows: Rows) -> None:
    plain = state_of([TABLE], ()).finish()
    assert not [row for row in plain if row.metric.endswith(".minus_rest")]
    for row in plain:
        if row.versus is None:
            assert rows[row.strategy, row.slice, row.metric] == row


def test_missing_values_are_in_no_slice(rows: Rows) -> None:
    sizes = [rows["greedy", f"room={name}", "js"] for name in ("hall", "kitchen", "street")]
    known = LABELLED & np.array([room is not None for room in ROOM])
    assert sum(row.n + row.n_invalid for row in sizes) == known.sum()
    assert {key[1] for key in rows if key[1].startswith("room=")} == {row.slice for row in sizes}


def test_few_utterances_and_few_speakers_have_no_interval_and_say_so() -> None:
    few = [str(number % 75 < 10) for number in range(COUNT)]
    rare = ["yes" if number < FEWEST_UTTERANCES // 2 else "no" for number in range(COUNT)]
    table = with_facts(TABLE.drop(["facts", "duration_s"]), known=few, rare=rare)
    found = {
        (row.slice, row.metric): row
        for row in state_of([table], ("known", "rare")).finish()
        if row.strategy == "cot" and row.versus is None
    }
    row = found["known=True", "js"]
    assert (row.ci_low, row.note) == (
        None,
        f"no interval: 10 speakers, {FEWEST_SPEAKERS} are needed",
    )
    outside = found["known=False", "js.minus_rest"]
    assert outside.ci_low is None
    assert outside.note is not None
    assert "10 speakers outside of it, 15 are needed" in outside.note
    assert found["known=False", "js"].ci_low is not None
    assert found["known=False", "js.median"].ci_low is None  # its utterances would be independent
    assert found["rare=yes", "js"].ci_low is not None
    scarce = found["rare=yes", "js.minus_rest"]
    assert (scarce.value is not None, scarce.ci_low) == (True, None)
    assert scarce.note is not None
    assert f"utterances in the slice, {FEWEST_UTTERANCES} are needed" in scarce.note


def rule(name: str, values: list[str | None]) -> list[str | None]:
    hashes = np.arange(1, len(values) + 1, dtype=np.uint64)
    column = sliced_column(name, pa.array(values, pa.string()), hashes, np.zeros_like(hashes))
    return column.slice_names(values)


def test_a_text_with_too_many_values_keeps_the_frequent_ones() -> None:
    values = [f"v{number:03d}" for number in range(80) for _ in range(1 + (number >= 31))]
    names = rule("accent", [*values, None])
    assert names[-1] is None
    assert len({name for name in names if name}) == MOST_VALUES
    assert names[0] == "accent=(other)"
    assert names[-2] == "accent=v079"
    assert len({*rule("accent", [f"v{number}" for number in range(50)])}) == MOST_VALUES


def test_few_numbers_are_values_and_many_are_bins_with_short_edges() -> None:
    assert rule("session", ["1", "2", "10"] * 9)[:3] == ["session=1", "session=2", "session=10"]
    ages = [str(number) for number in range(20, 75)]
    names = rule("age", ages)
    assert names[0] == "age=(-inf, 31)"
    assert names[-1] == "age=[64, inf)"
    lengths = rule("duration_s", [repr(1 + number / 64) for number in range(100)])
    assert len({*lengths}) == 5
    assert max(len(name or "") for name in lengths) <= len("duration_s=[1.31, 1.62)")
    assert rule("split", [str(number) for number in range(60)])[59] == "split=59"


def test_equal_numbers_are_never_cut_apart() -> None:
    values = ["0"] * 60 + [str(number) for number in range(1, 41)]
    names = rule("snr", values)
    assert len({*names[:60]}) == 1
    assert names[60] != names[0]


def test_values_come_from_columns_marks_and_facts_in_this_order() -> None:
    marks = [{"peak": 0.5, "silent": False}, None]
    table = pa.table(
        {
            "dataset": ["a", ""],
            "duration_s": [1.25, None],
            "audio_marks": pa.array(
                marks, pa.struct([("peak", pa.float64()), ("silent", pa.bool_())])
            ),
            "facts": pa.array(
                [[("peak", "high"), ("age", "31")], None], pa.map_(pa.string(), pa.string())
            ),
        }
    )
    found = {
        name: column_values(table, name).to_pylist()
        for name in ("dataset", "duration_s", "peak", "silent", "age", "gender", "split")
    }
    assert found == {
        "dataset": ["a", None],
        "duration_s": ["1.25", None],
        "peak": ["0.5", None],
        "silent": ["false", None],
        "age": ["31", None],
        "gender": [None, None],
        "split": [None, None],
    }


def test_an_utterance_without_a_known_speaker_is_drawn_alone() -> None:
    utterances, speakers = np.array([1, 2, 3], np.uint64), np.array([9, 0, 9], np.uint64)
    assert clusters(utterances, speakers).tolist() == [9, 2, 9]


def test_summaries_of_other_columns_do_not_merge() -> None:
    one, other = (CorpusSummary.from_table(TABLE, LABELS, names) for names in (("age",), ()))
    with pytest.raises(AccountingError, match="different columns"):
        one.merge(other)
