from typing import Any

import pytest

from raypipe.reporting.run.digest import Digest
from raypipe.reporting.run.headline import compare, headline
from raypipe.reporting.run.scores import Estimate, Scores


def _js(strategy: str, value: float, low: float, high: float, **more: Any) -> dict[str, Any]:
    row = {"strategy": strategy, "metric": "js", "value": value, "ci_low": low, "ci_high": high}
    return row | more


def _plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-")


def test_a_strategy_below_the_prior_is_good_news(metric_rows):
    table = metric_rows(
        _js("greedy", 0.21, 0.19, 0.23),
        _js("greedy", -0.09, -0.11, -0.07, versus="prior"),
        _js("greedy", 0.30, 0.23, 0.37) | {"metric": "js_skill"},
        _js("prior", 0.30, 0.28, 0.32),
    )
    found = headline(Scores(table), Digest())
    assert found.tone == "good"
    assert _plain(found.sentence) == (
        "greedy is closest to the annotators: JS 0.210 [0.190, 0.230], which is "
        "0.090 [0.070, 0.110] or 30 % below the prior baseline (0.300)."
    )


def test_a_paired_interval_over_zero_is_no_win(metric_rows):
    table = metric_rows(
        _js("bon", 0.288, 0.27, 0.31),
        _js("bon", -0.002, -0.012, 0.008, versus="prior"),
        _js("prior", 0.290, 0.28, 0.30),
    )
    found = headline(Scores(table), Digest())
    assert found.tone == "plain"
    assert "No strategy can be told apart from the prior baseline" in found.sentence
    assert "difference -0.002 [-0.012, +0.008]." in _plain(found.sentence)


def test_losing_to_the_prior_is_said_plainly(metric_rows):
    table = metric_rows(
        _js("bon", 0.40, 0.38, 0.42),
        _js("bon", 0.11, 0.09, 0.13, versus="prior"),
        _js("prior", 0.29, 0.28, 0.30),
    )
    found = headline(Scores(table), Digest())
    assert found.tone == "warning"
    assert _plain(found.sentence) == (
        "No strategy beats the prior baseline: the best one, bon, has JS 0.400 [0.380, 0.420], "
        "0.110 [0.090, 0.130] above the prior's 0.290."
    )


def test_a_table_without_prior_says_so(metric_rows):
    found = headline(Scores(metric_rows(_js("bon", 0.4, 0.3, 0.5))), Digest())
    assert found.tone == "plain"
    assert "There is no prior row to compare with." in found.details


def test_refusing_to_answer_does_not_win_unseen(metric_rows):
    table = metric_rows(
        _js("shy", 0.10, 0.09, 0.11, n=50, n_invalid=50),
        _js("shy", 0.25, 0.22, 0.28) | {"metric": "js.invalid_as_uniform"},
        _js("bold", 0.15, 0.13, 0.17),
        _js("bold", 0.15, 0.13, 0.17) | {"metric": "js.invalid_as_uniform"},
        _js("prior", 0.30, 0.28, 0.32),
    )
    found = headline(Scores(table), Digest())
    assert found.sentence.startswith("shy is closest")
    assert "With invalid answers counted as uniform, bold is best instead" in found.details[-1]


def _estimate(low: float, high: float) -> Estimate:
    return Estimate((low + high) / 2, low, high, 100, 0)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [((0.1, 0.2), "better"), ((0.1, 0.35), "equal"), ((0.5, 0.6), "worse")],
)
def test_without_a_paired_difference_intervals_must_not_touch(strategy, expected):
    assert compare(_estimate(*strategy), _estimate(0.3, 0.4), None) == expected


def test_values_without_intervals_are_never_called_different():
    bare = Estimate(0.1, None, None, 100, 0)
    assert compare(bare, _estimate(0.3, 0.4), None) == "equal"
