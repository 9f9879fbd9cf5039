"""Costs as metrics: what was paid, against NumPy with the same bootstrap weights."""

from functools import reduce

import numpy as np
import pyarrow as pa
import pytest
from tables_of_predictions import predictions_table, random_votes

from raypipe.labels import LabelSet
from raypipe.metrics.bins import equal_count
from raypipe.metrics.bootstrap import interval, poisson_weights
from raypipe.metrics.distribution import entropy_bits
from raypipe.metrics.reduce import CorpusSummary, MetricRow, MetricState

LABELS = LabelSet(("anger", "neutral", "sadness"))
COUNT, REPLICATES, SEED = 120, 80, 3
RNG = np.random.default_rng(4)
IDS = [f"u{number:03d}" for number in range(COUNT)]
VOTES = random_votes(COUNT, 3, seed=2)
VOTES[::17] = 0.0  # unlabelled
PROBS = RNG.dirichlet(np.ones(3), COUNT)
PROBS[5] = np.nan  # invalid
TOKENS = RNG.integers(100, 90_000, COUNT).astype(float)
KNOWN = np.arange(COUNT) % 5 > 0
ESCALATED = RNG.random(COUNT) < 0.3


def table() -> pa.Table:
    """Two strategies with one and the same distribution, that cost different amounts."""
    made = predictions_table(IDS, VOTES, {"cheap": PROBS, "adaptive": PROBS}, LABELS)
    costs: dict[str, list[float | None]] = {
        "model_tokens": [],
        "verifier_calls": [],
        "escalated": [],
    }
    for number, (tokens, known, escalated) in enumerate(zip(TOKENS, KNOWN, ESCALATED, strict=True)):
        assert made["strategy"][2 * number].as_py() == "cheap"
        costs["model_tokens"] += [tokens, 3 * tokens if known else None]
        costs["verifier_calls"] += [0, 2 * escalated if known else None]
        costs["escalated"] += [None, bool(escalated)]
    kinds = (pa.int64(), pa.int64(), pa.bool_())
    for (name, values), kind in zip(costs.items(), kinds, strict=True):
        made = made.append_column(name, pa.array(values).cast(kind))
    return made


def rows_of(tables: list[pa.Table]) -> dict[tuple[str, str, str], MetricRow]:
    summary = CorpusSummary.merge_all([CorpusSummary.from_table(one, LABELS) for one in tables])
    states = [
        MetricState.from_table(one, summary.frame, LABELS, replicates=REPLICATES, seed=SEED)
        for one in tables
    ]
    rows = reduce(MetricState.merge, states).finish()
    return {(row.strategy, row.slice, row.metric): row for row in rows if row.versus is None}


@pytest.fixture(scope="module")
def rows() -> dict[tuple[str, str, str], MetricRow]:
    return rows_of([table()])


Rows = dict[tuple[str, str, str], MetricRow]


def expect(row: MetricRow, values: np.ndarray, members: np.ndarray) -> None:
    weights = poisson_weights(IDS, REPLICATES, SEED).astype(float)[members]
    values = values[members].astype(float)
    assert row.value == pytest.approx(values.mean(), rel=1e-9)
    with np.errstate(invalid="ignore"):
        low, high = interval((weights * values[:, None]).sum(axis=0) / weights.sum(axis=0))
    assert (row.ci_low, row.ci_high) == (pytest.approx(low), pytest.approx(high))
    assert (row.n, row.n_invalid) == (members.sum(), 0)


def test_costs_are_means_over_all_utterances_that_were_paid_for(rows: Rows) -> None:
    """The invalid and the unlabelled ones too."""
    everyone = np.ones(COUNT, dtype=bool)
    expect(rows["cheap", "all", "model_tokens"], TOKENS, everyone)
    expect(rows["cheap", "all", "verifier_calls"], np.zeros(COUNT), everyone)
    expect(rows["adaptive", "all", "escalated"], ESCALATED, everyone)


def test_an_unknown_cost_is_left_out_and_never_zero(rows: Rows) -> None:
    expect(rows["adaptive", "all", "model_tokens"], 3 * TOKENS, KNOWN)
    expect(rows["adaptive", "all", "verifier_calls"], 2 * ESCALATED, KNOWN)
    assert ("cheap", "all", "escalated") not in rows


def test_strategies_that_predict_the_same_keep_their_own_cost(rows: Rows) -> None:
    assert rows["cheap", "all", "js"].value == rows["adaptive", "all", "js"].value
    assert rows["cheap", "all", "model_tokens"] != rows["adaptive", "all", "model_tokens"]


def test_costs_by_ambiguity(rows: Rows) -> None:
    labelled = np.flatnonzero(VOTES.any(axis=1))
    soft = VOTES[labelled] / VOTES[labelled].sum(axis=1, keepdims=True)
    bins = equal_count(entropy_bits(soft), [IDS[row] for row in labelled])
    for number in range(5):
        members = np.zeros(COUNT, dtype=bool)
        members[labelled[bins == number]] = True
        found = rows["cheap", f"ambiguity_count_{number + 1}", "model_tokens"]
        expect(found, TOKENS, members)


def test_costs_stand_in_no_other_slice_and_at_no_baseline(rows: Rows) -> None:
    found = {key for key in rows if key[2] in ("model_tokens", "verifier_calls", "escalated")}
    slices = {name for _, name, _ in found}
    assert {name.rstrip("12345") for name in slices} == {
        "all",
        "ambiguity_count_",
        "ambiguity_width_",
    }
    assert {strategy for strategy, _, _ in found} == {"cheap", "adaptive"}


def test_parts_merge_to_the_same_bits(rows: Rows) -> None:
    whole = table()
    cut = 2 * 31
    assert rows_of([whole.slice(cut), whole.slice(0, cut)]) == rows


def test_predictions_of_before_there_were_costs_are_read() -> None:
    bare = table().drop_columns(["model_tokens", "verifier_calls", "escalated"])
    found = rows_of([bare])
    assert ("cheap", "all", "js") in found
    assert not [key for key in found if key[2] == "model_tokens"]
