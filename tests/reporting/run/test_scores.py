import math

import pytest

from raypipe.reporting.run.scores import Approach, Scores


def _named(scores):
    return [approach.strategy for approach in scores.approaches]


def test_baselines_come_last_whatever_the_order_of_the_table(metric_rows):
    order = ("uniform", "w_bon", "prior", "mine", "greedy")
    table = metric_rows(*({"strategy": name, "metric": "js", "value": 0.2} for name in order))
    assert _named(Scores(table)) == ["greedy", "w_bon", "mine", "prior", "uniform"]


def test_the_readings_of_a_sweep_stand_where_their_strategy_does(metric_rows):
    order = ("mine", "w_bon[tau=0.5]", "w_bon[tau=1]", "greedy[tau=1]", "prior")
    table = metric_rows(*({"strategy": name, "metric": "js", "value": 0.2} for name in order))
    found = _named(Scores(table))
    assert found == ["greedy[tau=1]", "w_bon[tau=0.5]", "w_bon[tau=1]", "mine", "prior"]


def test_the_values_of_a_sweep_are_ordered_as_numbers(metric_rows):
    values = ("0.25", "10", "1.5", "1", "1e-09", "2", "0")
    names = [f"adaptive[expensive=w_bon,threshold={value}]" for value in values]
    table = metric_rows(*({"strategy": name, "metric": "js", "value": 0.2} for name in names))
    found = [name.split("=")[-1].rstrip("]") for name in _named(Scores(table))]
    assert found == ["0", "1e-09", "0.25", "1", "1.5", "2", "10"]


@pytest.mark.parametrize(
    ("metric", "expected"), [("js", "a"), ("bc", "b"), ("js.invalid_as_uniform", "a")]
)
def test_best_knows_which_way_a_metric_is_read(metric_rows, metric, expected):
    table = metric_rows(
        {"strategy": "a", "metric": metric, "value": 0.1},
        {"strategy": "b", "metric": metric, "value": 0.2},
        {"strategy": "prior", "metric": metric, "value": 0.15},
    )
    best = Scores(table).best(metric)
    assert best is not None
    assert best.strategy == expected


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_a_value_that_is_no_number_is_no_estimate(metric_rows, value):
    scores = Scores(metric_rows({"strategy": "greedy", "metric": "js", "value": value}))
    assert scores.best("js") is None
    assert _named(scores) == ["greedy"]


def test_half_an_interval_is_no_interval(metric_rows):
    row = {"strategy": "greedy", "metric": "js", "value": 0.1, "ci_low": 0.05}
    scores = Scores(metric_rows(row))
    estimate = scores.get(Approach("m", "p", "greedy"), "js")
    assert estimate is not None
    assert (estimate.low, estimate.high) == (None, None)


def test_paired_differences_do_not_replace_the_metric(metric_rows):
    scores = Scores(
        metric_rows(
            {"strategy": "greedy", "metric": "js", "value": 0.1},
            {"strategy": "greedy", "metric": "js", "value": -0.2, "versus": "prior"},
        )
    )
    greedy = Approach("m", "p", "greedy")
    assert scores.get(greedy, "js").value == 0.1
    assert scores.get(greedy, "js", versus="prior").value == -0.2


def test_the_prior_of_the_same_prompt_is_preferred(metric_rows):
    scores = Scores(
        metric_rows(
            {"strategy": "prior", "metric": "js", "value": 0.3, "prompt": "p"},
            {"strategy": "prior", "metric": "js", "value": 0.4, "prompt": "q"},
        )
    )
    assert scores.prior(Approach("m", "q", "greedy")) == Approach("m", "q", "prior")
    assert scores.prior(Approach("m", "r", "greedy")) == Approach("m", "p", "prior")


def test_invalid_rate_falls_back_on_the_counts(metric_rows):
    row = {"strategy": "greedy", "metric": "js", "value": 0.1, "n": 75, "n_invalid": 25}
    rate = Scores(metric_rows(row)).invalid_rate(Approach("m", "p", "greedy"))
    assert rate is not None
    assert rate.value == 0.25
