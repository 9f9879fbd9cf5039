"""CCC, correlation and errors of ratings, against audmetric and a bootstrap made here."""

from __future__ import annotations

from functools import reduce

import audmetric
import numpy as np
import pyarrow as pa
import pytest
from tables_of_predictions import predictions_table, random_votes

from raypipe.labels import LabelSet
from raypipe.metrics.attributes import PREDICTED, REASON, TRUTH, attribute_units, rating_range
from raypipe.metrics.bootstrap import poisson_weights
from raypipe.metrics.reduce import CorpusSummary, MetricRow, MetricState
from raypipe.store.metric_tables import metrics_table

LABELS = LabelSet(("anger", "fear", "neutral"))
COUNT, REPLICATES, SEED = 400, 100, 7
IDS = [f"u{number:04d}" for number in range(COUNT)]
VOTES = random_votes(COUNT, 3, seed=4)
VOTES[::10] = 0.0
LABELLED = VOTES.any(axis=1)
RNG = np.random.default_rng(8)
RATED = RNG.uniform(1, 7, (COUNT, 3))
SAID = np.clip(0.6 * RATED + RNG.normal(1.2, 0.8, (COUNT, 3)), 1, 7)
RATED[::7, 2] = np.nan
INVALID = np.arange(COUNT) % 9 == 4
SAID[INVALID] = np.nan
SPLITS = ["train" if number % 3 else "test" for number in range(COUNT)]


def with_ratings(table: pa.Table) -> pa.Table:
    place = [IDS.index(name) for name in table["utterance_id"].to_pylist()]
    for names, values in ((TRUTH, RATED), (PREDICTED, SAID)):
        for at, name in enumerate(names):
            column = pa.array(values[place, at], pa.float64(), from_pandas=True)
            table = table.append_column(name, column)
    reasons = ["range" if INVALID[row] else None for row in place]
    return table.append_column(REASON, pa.array(reasons, pa.string()))


PLAIN = predictions_table(
    IDS, VOTES, {"greedy": RNG.dirichlet(np.ones(3), COUNT)}, LABELS, splits=SPLITS
)
TABLE = with_ratings(PLAIN)


def state_of(tables: list[pa.Table]) -> MetricState:
    parts = [CorpusSummary.from_table(table, LABELS) for table in tables]
    summary = CorpusSummary.merge_all(parts)
    return reduce(
        MetricState.merge,
        [
            MetricState.from_table(table, summary.frame, LABELS, replicates=REPLICATES, seed=SEED)
            for table in tables
        ],
    )


@pytest.fixture(scope="module")
def rows() -> dict[tuple[str, str], MetricRow]:
    made = state_of([TABLE]).finish()
    return {(row.slice, row.metric): row for row in made if row.strategy == "attributes"}


ORACLES = {
    "ccc": audmetric.concordance_cc,
    "pearson": audmetric.pearson_cc,
    "mae": audmetric.mean_absolute_error,
    "rmse": lambda truth, predicted: np.sqrt(audmetric.mean_squared_error(truth, predicted)),
}


@pytest.mark.parametrize("slice_name", ["all", "split=test", "majority"])
@pytest.mark.parametrize("metric", ORACLES)
@pytest.mark.parametrize("attribute", range(3))
def test_values_and_intervals_are_those_of_audmetric(
    rows: dict[tuple[str, str], MetricRow], attribute: int, metric: str, slice_name: str
) -> None:
    inside = np.ones(COUNT, dtype=bool)
    if slice_name == "split=test":
        inside = np.array([split == "test" for split in SPLITS])
    elif slice_name == "majority":
        inside = LABELLED & (2 * VOTES.max(axis=1) > VOTES.sum(axis=1))
    rated = inside & ~np.isnan(RATED[:, attribute])
    both = rated & ~INVALID
    truth, said = RATED[both, attribute], SAID[both, attribute]
    row = rows[slice_name, f"{metric}={TRUTH[attribute]}"]
    assert (row.n, row.n_invalid) == (both.sum(), (rated & INVALID).sum())
    assert row.value == pytest.approx(ORACLES[metric](truth, said), abs=1e-9)
    weights = poisson_weights(IDS, REPLICATES, SEED)[both].T
    drawn = [ORACLES[metric](np.repeat(truth, times), np.repeat(said, times)) for times in weights]
    ends = np.quantile(drawn, [0.025, 0.975])
    assert (row.ci_low, row.ci_high) == pytest.approx(tuple(ends), abs=1e-9)


@pytest.mark.parametrize(("pieces", "seed"), [(2, 0), (7, 1), (64, 2)])
def test_any_cut_gives_the_same_bits(pieces: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    piece_of = rng.integers(0, pieces, COUNT)
    tables = [
        TABLE.take(rng.permutation(np.flatnonzero(piece_of == piece)))
        for piece in rng.permutation(pieces)
        if (piece_of == piece).any()
    ]
    assert metrics_table(state_of(tables).finish()).equals(
        metrics_table(state_of([TABLE]).finish())
    )


def test_other_rows_do_not_change_and_none_is_made_where_nobody_asked() -> None:
    plain, rated = state_of([PLAIN]).finish(), state_of([TABLE]).finish()
    assert plain == [row for row in rated if row.strategy != "attributes"]
    silent = TABLE.drop([*PREDICTED, REASON])
    assert state_of([silent]).finish() == plain


def test_equal_ratings_have_no_correlation_and_no_range() -> None:
    assert rating_range(np.full((3, 6), np.nan)) is None
    assert rating_range(np.full((3, 6), 2.0)) is None
    units = attribute_units(
        np.array([[1.0, 5.0, np.nan, 1.0, 1.0, 2.0]]), np.array([True]), (1.0, 5.0)
    )
    found = units.reshape(3, 8) / 2**30
    assert found[0].tolist() == [1, -8, -8, 64, 64, 64, 0, 0]
    assert found[1].tolist() == [1, 8, -8, 64, 64, -64, 16, 0]
    assert found[2].tolist() == [0] * 8
