"""Ranges, better ends, skills and differences of metrics that are functions of a whole corpus.

``test_catalogue.py`` shows them for functions of one utterance. Here made-up strategies that are as
right, as wrong and as uncertain as can be go through the reduce: what a metric declares has to be
seen in the values that it gives them.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from answers import LABELS, Answers, K, sets_of, some_answers, table_of
from test_catalogue import ANSWERS, OTHER, Rows, oracle_of, rows

from raypipe.metrics.baselines import prior
from raypipe.metrics.kinds import CostMetric, SumsMetric, UtteranceMetric
from raypipe.metrics.metric import NEVER, SKILL_SUFFIX, Metric
from raypipe.metrics.reduce import CorpusSummary, MetricState
from raypipe.metrics.registry import METRICS

__all__ = ["rows"]  # a fixture

OF_A_CORPUS = [
    metric for metric in METRICS.values() if not isinstance(metric, UtteranceMetric | CostMetric)
]
COMPARED = [
    metric
    for metric in OF_A_CORPUS
    if isinstance(metric, SumsMetric) and (metric.skill or metric.difference)
]

of_a_corpus = pytest.mark.parametrize("metric", OF_A_CORPUS, ids=lambda metric: metric.name)

COUNT = 48
CLEAR = np.eye(K)[np.arange(COUNT) % K]
TWO = (CLEAR + np.roll(CLEAR, 1, axis=1)) / 2
MIXED = np.where((np.arange(COUNT) < COUNT // 2)[:, None], CLEAR, TWO)
UNSURE = 0.2 / K + 0.8 * (0.3 * CLEAR + 0.7 / K)
"""Right about the dominant label, and nowhere near as sure as right."""


def entropy(shares: np.ndarray) -> np.ndarray:
    known = np.where(shares > 0, shares, 1.0)
    return -(known * np.log2(known)).sum(axis=1)


def answers(truth: np.ndarray, probs: np.ndarray) -> Answers:
    """A strategy's, whose stated uncertainties follow its distributions."""
    known = some_answers(COUNT).stated
    stated = {name: entropy(probs) if "uncertainty" in name else known[name] for name in known}
    return Answers(12 * truth, np.zeros(truth.shape, bool), probs, stated, sets_of(probs, 0.15))


RIGHT = {
    "right about clear ones": answers(CLEAR, CLEAR),
    "right about clear and ambiguous ones": answers(MIXED, MIXED),
}
OTHERWISE = {
    "wrong about clear ones": answers(CLEAR, np.roll(CLEAR, 1, axis=1)),
    "sure of ambiguous ones, unsure of clear ones": answers(MIXED, MIXED[::-1]),
    "right and unsure": answers(CLEAR, UNSURE),
    "without an answer": answers(CLEAR, np.full((COUNT, K), np.nan)),
}
TIED = {
    "about ties alone": answers(TWO, TWO),
    "about nothing but ties of all labels": answers(np.full((COUNT, K), 1 / K), CLEAR),
}


@cache
def value_of(name: str, what: str) -> list[float]:
    """Values of a metric (one per label where it has as many) for one of the strategies."""
    given = (RIGHT | OTHERWISE | TIED)[what]
    table = table_of(given)
    summary = CorpusSummary.from_table(table, LABELS)
    found = MetricState.from_table(table, summary.frame, LABELS, replicates=2).finish()
    return [
        float("nan") if row.value is None else row.value
        for row in found
        if row.slice == "all"
        and row.strategy == "w_bon"
        and row.versus is None
        and row.metric.partition("=")[0] == name
    ]


def values(metric: Metric, kinds: dict[str, Answers]) -> np.ndarray:
    every = [value for what in kinds for value in value_of(metric.name, what)]
    known = np.array(every, dtype=float)
    return known[~np.isnan(known)]


@of_a_corpus
@pytest.mark.parametrize("end", [0, 1])
def test_an_end_of_the_range_is_a_value_that_occurs(metric: Metric, end: int) -> None:
    bound = metric.range[end]
    if not np.isfinite(bound):
        pytest.skip("has no bound")
    every = values(metric, RIGHT | OTHERWISE | TIED)
    reached = (every.min, every.max)[end]()
    assert reached == pytest.approx(bound, rel=1e-3, abs=1e-6), f"no value beyond {reached}"


@of_a_corpus
def test_the_right_answers_are_at_the_better_end(metric: Metric) -> None:
    if metric.better == "neither":
        pytest.skip("no value is better")
    right, every = values(metric, RIGHT), values(metric, RIGHT | OTHERWISE)
    best, worst = (np.min, np.max) if metric.better == "lower" else (np.max, np.min)
    assert best(right) == pytest.approx(best(every), abs=1e-9), f"{metric.better} is not better"
    assert worst(every) != pytest.approx(worst(right), abs=1e-3), "no answer is worse"


@of_a_corpus
def test_it_is_undefined_where_it_says_so_and_nowhere_else(metric: Metric) -> None:
    """A strategy without any answer has no value of most metrics, which needs no saying."""
    kinds = [what for what in RIGHT | OTHERWISE | TIED if what != "without an answer"]
    missing = [
        what
        for what in kinds
        if not value_of(metric.name, what) or np.isnan(value_of(metric.name, what)).any()
    ]
    if metric.undefined == NEVER:
        assert missing == [], f"{metric.name} says it is never undefined"
    else:
        # What only a corpus without votes, a label that nobody names or a strategy without sets
        # lacks is not made up here.
        assert (
            missing
            or "states no label sets" in metric.undefined
            or "no utterance has a vote" in metric.undefined
            or ("no label has more" in metric.undefined)
        ), f"{metric.name} says it is undefined when {metric.undefined}, and never is"


@pytest.mark.parametrize("metric", COMPARED, ids=lambda metric: metric.name)
def test_a_paired_difference_is_that_of_the_oracle(metric: SumsMetric, rows: Rows) -> None:
    if not metric.difference:
        pytest.skip("has none")
    both = (ANSWERS.given & ~np.isnan(OTHER).any(axis=1))[:, None]
    own, other = (
        oracle_of(metric)(replace(ANSWERS, probs=np.where(both, probs, np.nan)))
        for probs in (ANSWERS.probs, OTHER)
    )
    assert rows[metric.name, "greedy"].value == pytest.approx(own - other, abs=1e-7)


@pytest.mark.parametrize("metric", COMPARED, ids=lambda metric: metric.name)
def test_a_skill_is_that_of_the_oracle(metric: SumsMetric, rows: Rows) -> None:
    if not metric.skill:
        pytest.skip("has none")
    constant = np.broadcast_to(prior(ANSWERS.truth[ANSWERS.labelled])[0], ANSWERS.probs.shape)
    whole = np.full(ANSWERS.probs.shape, np.nan)
    whole[ANSWERS.valid] = constant[ANSWERS.valid]
    own, reference = (
        oracle_of(metric)(replace(ANSWERS, probs=probs)) for probs in (ANSWERS.probs, whole)
    )
    expected = (own - reference) / (metric.best - reference)
    assert rows[metric.name + SKILL_SUFFIX, None].value == pytest.approx(expected, abs=1e-7)
