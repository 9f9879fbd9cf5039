from typing import Any

import pyarrow as pa
import pytest

from raypipe.reporting.run.digest import Digest
from raypipe.reporting.run.headline import headline
from raypipe.reporting.run.leaders import difference_rows, leaders
from raypipe.reporting.run.scores import Scores


def _js(strategy: str, value: float, low: float, high: float, **more: Any) -> dict[str, Any]:
    row = {"strategy": strategy, "metric": "js", "value": value, "ci_low": low, "ci_high": high}
    return row | more


def _scores(metric_rows: Any, *rows: dict[str, Any]) -> Scores:
    table = metric_rows(*rows)
    return Scores(table.append_column("p_value", pa.array([row.get("p") for row in rows])))


def _three(metric_rows: Any, p: tuple[float, float, float]) -> Scores:
    """greedy .20, bon .21, token .30, each with its paired difference from the two others."""
    values = {"greedy": 0.20, "bon": 0.21, "token": 0.30}
    pairs = {("greedy", "bon"): p[0], ("greedy", "token"): p[1], ("bon", "token"): p[2]}
    rows = [_js(name, value, value - 0.02, value + 0.02) for name, value in values.items()]
    for (left, right), each in pairs.items():
        gap = values[left] - values[right]
        rows.append(_js(left, gap, gap - 0.01, gap + 0.01, versus=right, p=each))
        rows.append(_js(right, -gap, -gap - 0.01, -gap + 0.01, versus=left, p=each))
    rows.append(_js("prior", 0.5, 0.48, 0.52))
    rows.append(_js("greedy", -0.3, -0.32, -0.28, versus="prior", p=1e-9))
    return _scores(metric_rows, *rows)


def _names(scores: Scores) -> list[str]:
    return [approach.strategy for approach in leaders(scores)]


def test_p_values_are_corrected_before_anything_is_told_apart(metric_rows: Any) -> None:
    assert _names(_three(metric_rows, (0.01, 0.001, 0.001))) == ["greedy"]
    assert _names(_three(metric_rows, (0.2, 0.001, 0.001))) == ["greedy", "bon"]
    assert _names(_three(metric_rows, (0.04, 0.02, 0.02))) == ["greedy", "bon", "token"]  # 3 x .02


def test_a_tie_is_no_winner(metric_rows: Any) -> None:
    stated = headline(_three(metric_rows, (0.2, 0.001, 0.001)), Digest()).sentence
    assert stated.startswith(
        "greedy and bon cannot be told apart as the closest to the annotators: greedy has JS 0.200"
    )
    alone = headline(_three(metric_rows, (0.01, 0.001, 0.001)), Digest()).sentence
    assert alone.startswith("greedy is closest to the annotators: JS 0.200")


def test_without_p_values_intervals_must_not_touch(metric_rows: Any) -> None:
    rows = [_js("a", 0.2, 0.18, 0.22), _js("b", 0.23, 0.21, 0.25), _js("c", 0.3, 0.28, 0.32)]
    assert _names(Scores(metric_rows(*rows))) == ["a", "b"]


def test_nothing_scored_has_no_leader(metric_rows: Any) -> None:
    assert leaders(Scores(metric_rows(_js("prior", 0.2, 0.1, 0.3)))) == ()


def test_many_tied_strategies_are_counted_not_listed(metric_rows: Any) -> None:
    rows = [_js(f"w_bon[tau={k}]", 0.2 + k / 1e4, 0.18, 0.22) for k in range(9)]
    result = headline(Scores(metric_rows(*rows, _js("prior", 0.5, 0.48, 0.52))), Digest())
    assert "and 4 more cannot be told apart" in result.sentence
    assert any("the best of 9 on these very utterances" in detail for detail in result.details)


def test_a_difference_from_the_best_is_shown_with_its_corrected_p(metric_rows: Any) -> None:
    rows = difference_rows(_three(metric_rows, (0.2, 0.001, 0.0001)))
    shown = {row.name.split()[0]: (row.difference, row.p, row.is_told_apart) for row in rows}
    assert shown == {"bon": ("+0.010", ".200", False), "token": ("+0.100", ".002", True)}
    assert {row.name.split()[-1] for row in rows} == {"greedy"}


@pytest.mark.parametrize("skill", [0.4, 1.2])
def test_the_way_to_the_annotators_is_told(metric_rows: Any, skill: float) -> None:
    row = _js("a", skill, skill - 0.1, skill + 0.1) | {"metric": "js_human_skill"}
    table = metric_rows(_js("a", 0.2, 0.18, 0.22), row, _js("prior", 0.5, 0.48, 0.52))
    details = " ".join(headline(Scores(table), Digest()).details)
    assert f"a is {100 * skill:.0f}\N{NO-BREAK SPACE}% [" in details


def test_what_is_scored_on_a_part_of_the_utterances_is_not_ranked(metric_rows: Any) -> None:
    rows = [_js("greedy", 0.325, 0.3, 0.35, n=48, n_invalid=3)]
    rows.append(_js("conformal", 0.306, 0.28, 0.33, n=24, n_invalid=0))
    rows.append(_js("conformal", 0.0, 0.0, 0.0, versus="greedy", p=1.0, n=24))
    rows.append(_js("prior", 0.2, 0.18, 0.22, n=60, n_invalid=0))
    scores = _scores(metric_rows, *rows)
    assert _names(scores) == ["greedy"]
    result = headline(scores, Digest())
    assert "the best one, greedy, has JS 0.325" in result.sentence.replace(
        "\N{NO-BREAK SPACE}", " "
    )
    assert any("conformal (on 24 of 51 utterances)" in detail for detail in result.details)
    partial = scores.partial(scores.strategies())
    assert {approach.strategy: sizes for approach, sizes in partial.items()} == {
        "conformal": (24, 51)
    }
