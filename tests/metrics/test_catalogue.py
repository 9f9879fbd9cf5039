"""What every metric of the registry must keep; each brings an oracle in its module's test."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pytest
from answers import LABELS, K, some_answers, table_of
from tables_of_predictions import predictions_table

from raypipe.metrics import catalogue
from raypipe.metrics.baselines import prior
from raypipe.metrics.kinds import CostMetric, Of, SumsMetric, UtteranceMetric
from raypipe.metrics.metric import MEDIAN_SUFFIX, SKILL_SUFFIX, UNIFORM_SUFFIX, Metric, ScoredMetric
from raypipe.metrics.reduce import CorpusSummary, MetricRow, MetricState
from raypipe.metrics.registry import (
    COLUMNS,
    COSTS,
    METRICS,
    PER_UTTERANCE,
    UNCERTAINTY_COLUMNS,
    better,
    metric_of,
    per_utterance,
)
from raypipe.store.schemas import PREDICTIONS, UTTERANCE_METRICS

TESTS = Path(__file__).parent / "catalogue"
MODULES = sorted(path.stem for path in Path(catalogue.__path__[0]).glob("[a-z]*.py"))
ANSWERS = some_answers()
OTHER = some_answers(seed=8).probs  # another strategy's, of the same utterances

every_metric = pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
every_function = pytest.mark.parametrize("metric", PER_UTTERANCE, ids=lambda metric: metric.name)


@cache
def oracles_in(name: str) -> ModuleType:
    path = TESTS / f"test_{name}.py"
    assert path.exists(), f"raypipe/metrics/catalogue/{name}.py has no {path.name} in {path.parent}"
    spec = importlib.util.spec_from_file_location(f"oracles_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def module_of(metric: Metric) -> str:
    for name in MODULES:
        module = importlib.import_module(f"{catalogue.__name__}.{name}")
        if metric in module.METRICS:
            return name
    raise AssertionError(f"{metric.name} is in no module")


def oracle_of(metric: Metric, table: str = "ORACLES") -> Callable[..., object]:
    """The oracle that the test of the metric's module brings."""
    name = module_of(metric)
    oracles = getattr(oracles_in(name), table, {})
    assert metric.name in oracles, (
        f"metric {metric.name!r} has no oracle: tests/metrics/catalogue/test_{name}.py must "
        f"define {table}[{metric.name!r}]"
    )
    return oracles[metric.name]


def some_rows(label_count: int) -> tuple[np.ndarray, np.ndarray]:
    """Soft labels and predictions: smooth ones, one-hot ones, uniform ones, equal, disjoint."""
    rng = np.random.default_rng(label_count)
    truth = rng.multinomial(7, rng.dirichlet(np.ones(label_count), 60)) / 7.0
    prediction = rng.dirichlet(np.full(label_count, 0.5), 60)
    prediction[::5] = np.eye(label_count)[rng.integers(0, label_count, 12)]
    prediction[1::9] = 1.0 / label_count
    truth[2::11] = 1.0 / label_count
    prediction[3::13] = truth[3::13]
    truth[4], prediction[4] = np.eye(label_count)[[0, 1]]
    return truth, prediction


# --- the declaration --------------------------------------------------------------------------


@every_metric
def test_every_metric_has_an_oracle(metric: Metric) -> None:
    oracle_of(metric)


@every_metric
def test_rows_know_their_metric(metric: Metric) -> None:
    for row in metric.row_names:
        assert metric_of(row) is metric
        wanted = "higher" if row.endswith(SKILL_SUFFIX) else metric.better
        assert better(row) == wanted
    with pytest.raises(KeyError, match="nonsense"):
        metric_of("nonsense")


def test_columns_of_predictions_are_the_metrics_in_order() -> None:
    known = ("true_entropy", "js", "js_distance", "bc", "bd", "kl", "r2", "r2_det")
    assert tuple(name for name in UTTERANCE_METRICS if name in known) == known
    assert ("true_entropy", *COLUMNS) == UTTERANCE_METRICS
    in_order = [name for name in PREDICTIONS.names if name in UTTERANCE_METRICS]
    assert tuple(in_order) == UTTERANCE_METRICS


@pytest.mark.parametrize("column", [*COSTS, *UNCERTAINTY_COLUMNS])
def test_columns_that_metrics_read_are_in_predictions(column: str) -> None:
    assert column in PREDICTIONS.names
    assert column in ANSWERS.stated, f"tests/metrics/answers.py must make up {column}"


# --- the function -----------------------------------------------------------------------------


@every_function
@pytest.mark.parametrize("label_count", [2, 4, 7])
def test_values_agree_with_the_oracle(metric: UtteranceMetric, label_count: int) -> None:
    truth, prediction = some_rows(label_count)
    values = metric(truth, prediction)
    assert values.shape == (60,)
    expected = [oracle_of(metric)(p, q) for p, q in zip(truth, prediction, strict=True)]
    np.testing.assert_allclose(values, np.array(expected, dtype=float), rtol=1e-9, atol=2e-8)


@every_function
@pytest.mark.parametrize("label_count", [2, 4, 7])
def test_values_keep_their_range(metric: UtteranceMetric, label_count: int) -> None:
    values = metric(*some_rows(label_count))
    known = values[~np.isnan(values)]
    assert metric.range[0] <= known.min()
    assert known.max() <= metric.range[1]
    assert known.size == values.size or not metric.always_defined


def extreme_rows() -> tuple[np.ndarray, np.ndarray]:
    """Soft labels and predictions: every pair of one-hot, two-label, uniform and nearly uniform."""
    halves = np.array([[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0]]) / 2.0
    hardly_any = 0.25 + np.array([1, -1, 1, -1]) * 1e-4
    corners = np.vstack([np.eye(4), np.full(4, 0.25), halves, hardly_any])
    first, second = np.divmod(np.arange(len(corners) ** 2), len(corners))
    return corners[first], corners[second]


@every_function
@pytest.mark.parametrize("end", [0, 1])
def test_an_end_of_the_range_is_a_value_that_occurs(metric: UtteranceMetric, end: int) -> None:
    bound = metric.range[end]
    values = metric(*extreme_rows())
    reached = (np.nanmin, np.nanmax)[end](values)
    if not np.isfinite(bound):
        assert abs(reached) > 1e3, f"no value beyond {reached}: is there no bound?"
        return
    assert reached == pytest.approx(bound, rel=1e-3, abs=1e-6), f"no value beyond {reached}"


@every_function
def test_an_equal_prediction_is_the_best(metric: UtteranceMetric) -> None:
    truth, _ = some_rows(5)
    values = metric(truth, truth)
    if metric.better == "neither":
        ends = [end for end in metric.range if np.isfinite(end)]
        at_an_end = [bool(np.allclose(values[~np.isnan(values)], end)) for end in ends]
        assert not any(at_an_end), "an equal prediction always has the value of one end"
        return
    np.testing.assert_allclose(values[~np.isnan(values)], metric.best, atol=2e-8)


@every_function
def test_rows_stand_alone_and_nan_stays_nan(metric: UtteranceMetric) -> None:
    truth, prediction = some_rows(4)
    whole = metric(truth, prediction)
    prediction[7] = np.nan
    truth[8] = np.nan
    broken = metric(truth, prediction)
    assert np.isnan(broken[[7, 8]]).all()
    rest = np.delete(np.arange(60), [7, 8])
    np.testing.assert_array_equal(broken[rest], whole[rest])
    assert metric(truth[:0], prediction[:0]).shape == (0,)


@every_function
def test_the_order_of_labels_matters_only_where_declared(metric: UtteranceMetric) -> None:
    truth, prediction = some_rows(5)
    order = [3, 0, 4, 1, 2]
    moved = metric(truth[:, order], prediction[:, order])
    same = np.allclose(metric(truth, prediction), moved, atol=2e-8, equal_nan=True)
    assert same is not metric.label_order_matters


@every_function
def test_misshaped_rows_are_refused(metric: UtteranceMetric) -> None:
    truth, prediction = some_rows(4)
    with pytest.raises(ValueError, match="utterances, labels"):
        metric(truth, prediction[:, :3])
    with pytest.raises(ValueError, match="utterances, labels"):
        metric(truth[0], prediction[0])


def test_a_function_of_another_column_gives_what_it_gives_alone() -> None:
    truth, prediction = some_rows(6)
    columns = per_utterance(truth, prediction)
    assert list(columns) == [metric.name for metric in PER_UTTERANCE]
    for metric in PER_UTTERANCE:
        np.testing.assert_array_equal(columns[metric.name], metric(truth, prediction))
    assert any(isinstance(metric.function, Of) for metric in PER_UTTERANCE)


# --- the rows of metrics/ ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows() -> dict[tuple[str, str | None], MetricRow]:
    """Rows of the strategy ``w_bon`` on the whole corpus, by metric and versus."""
    names = table_of(ANSWERS)["utterance_id"].to_pylist()
    other = predictions_table(
        names, ANSWERS.votes, {"greedy": OTHER}, LABELS, secondary=ANSWERS.secondary
    )
    both = pa.concat_tables([table_of(ANSWERS), other], promote_options="default")
    summary = CorpusSummary.from_table(both, LABELS)
    state = MetricState.from_table(both, summary.frame, LABELS, replicates=20)
    return {
        (row.metric, row.versus): row
        for row in state.finish()
        if row.slice == "all" and row.strategy == "w_bon"
    }


Rows = dict[tuple[str, str | None], MetricRow]


def expected_mean(metric: UtteranceMetric, probs: np.ndarray, chosen: np.ndarray) -> float:
    oracle = oracle_of(metric)
    pairs = zip(ANSWERS.truth[chosen], probs[chosen], strict=True)
    return float(np.nanmean([oracle(p, q) for p, q in pairs]))


@every_metric
def test_the_row_agrees_with_the_oracle(metric: Metric, rows: Rows) -> None:
    if isinstance(metric, UtteranceMetric):
        expected = expected_mean(metric, ANSWERS.probs, ANSWERS.valid)
    else:
        expected = oracle_of(metric)(ANSWERS)
    if isinstance(metric, SumsMetric) and metric.per_label:
        named = dict(zip(LABELS.names, expected, strict=True))
    else:
        named = {"": expected}
    for label, value in named.items():
        row = rows[f"{metric.name}={label}" if label else metric.name, None]
        assert row.value == pytest.approx(value, rel=1e-8, abs=2e-8)
        assert metric.range[0] <= row.value <= metric.range[1]
        invalid = 0 if isinstance(metric, CostMetric) else (ANSWERS.labelled & ~ANSWERS.given).sum()
        assert row.n_invalid == invalid or metric.name == "invalid_rate"


@every_metric
def test_invalid_predictions_count_as_uniform_where_declared(metric: Metric, rows: Rows) -> None:
    name = metric.name + UNIFORM_SUFFIX
    assert ((name, None) in rows) is (name in metric.row_names)
    if name not in metric.row_names:
        return
    if not isinstance(metric, UtteranceMetric):
        expected = oracle_of(metric, "UNIFORM_ORACLES")(ANSWERS)
    else:
        truth = ANSWERS.truth[ANSWERS.labelled & ~ANSWERS.given]
        if metric.uniform_value is None:
            filled = [oracle_of(metric)(p, np.full(K, 1 / K)) for p in truth]
        else:
            filled = [oracle_of(metric, "UNIFORM_ORACLES")(p) for p in truth]
        pairs = zip(ANSWERS.truth[ANSWERS.valid], ANSWERS.probs[ANSWERS.valid], strict=True)
        expected = np.nanmean([oracle_of(metric)(p, q) for p, q in pairs] + filled)
    assert rows[name, None].value == pytest.approx(expected, abs=2e-8)


@every_metric
def test_there_is_a_median_where_declared(metric: Metric, rows: Rows) -> None:
    name = metric.name + MEDIAN_SUFFIX
    assert ((name, None) in rows) is (name in metric.row_names)
    if isinstance(metric, UtteranceMetric) and metric.median:
        oracle, valid = oracle_of(metric), ANSWERS.valid
        pairs = zip(ANSWERS.truth[valid], ANSWERS.probs[valid], strict=True)
        expected = np.nanmedian([oracle(p, q) for p, q in pairs])
        assert rows[name, None].value == pytest.approx(expected, abs=2e-8)


@every_metric
def test_there_is_a_skill_where_declared(metric: Metric, rows: Rows) -> None:
    name = metric.name + SKILL_SUFFIX
    assert ((name, None) in rows) is (name in metric.row_names)
    if isinstance(metric, UtteranceMetric) and metric.skill:
        constant = np.zeros(ANSWERS.probs.shape)
        constant[ANSWERS.labelled] = prior(ANSWERS.truth[ANSWERS.labelled])
        reference = expected_mean(metric, constant, ANSWERS.valid)
        own = expected_mean(metric, ANSWERS.probs, ANSWERS.valid)
        expected = (own - reference) / (metric.best - reference)
        assert rows[name, None].value == pytest.approx(expected, abs=1e-7)


@every_metric
def test_there_is_a_paired_difference_where_declared(metric: Metric, rows: Rows) -> None:
    declared = isinstance(metric, ScoredMetric) and metric.difference
    for versus in ("greedy", "prior", "uniform"):
        assert ((metric.name, versus) in rows) is declared
    if isinstance(metric, UtteranceMetric) and metric.difference:
        both = ANSWERS.valid & ~np.isnan(OTHER).any(axis=1)
        own, other = (expected_mean(metric, probs, both) for probs in (ANSWERS.probs, OTHER))
        assert rows[metric.name, "greedy"].value == pytest.approx(own - other, abs=1e-7)


def test_there_is_no_row_of_no_metric(rows: Rows) -> None:
    declared = {row for metric in METRICS.values() for row in metric.row_names}
    declared |= {f"f1={label}" for label in LABELS.names}
    assert {name for name, _ in rows} <= declared


def test_no_two_metrics_have_one_title() -> None:
    titles = [metric.title for metric in METRICS.values()]
    assert len(set(titles)) == len(titles)
