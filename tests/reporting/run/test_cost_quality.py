import re

import pytest

from raypipe.reporting.run.cost_quality import cost_charts
from raypipe.reporting.run.scores import Scores


def charts_of(metric_rows, costs, **scores):
    rows = [
        {"strategy": name, "metric": "model_tokens", "value": value}
        for name, value in costs.items()
    ]
    rows += [{"strategy": name, "metric": "js", "value": scores.get(name, 0.2)} for name in costs]
    return cost_charts(Scores(metric_rows(*rows)))


def joined_lines(svg):
    """How many points the lines of curves go through; intervals have two ends and no curve."""
    drawn = re.findall(
        r'd="(M [^"]*)" clip-path="[^"]*" style="[^"]*stroke: var\(--ink\)', str(svg)
    )
    return [path.count("L") + 1 for path in drawn if path.count("L") > 1]


def marks(svg):
    """Where the points stand, those of the legend included."""
    return re.findall(r'<use x="([\d.]+)" y="([\d.]+)"[^>]*var\(--series', str(svg))


def test_a_figure_says_every_strategy_s_cost_and_score(grid):
    charts = cost_charts(Scores(grid))
    assert len(charts) == 4
    assert "JS by tokens per utterance: greedy 680 tokens, 0.250 [" in charts[0].svg
    assert "adaptive[expensive=alm_v,threshold=0.25] 12,318 tokens" in charts[0].svg
    assert charts[0].caption.startswith("Qwen2-Audio-7B-Instruct · distribution: JS with 95 %")
    assert "Dashed: the prior, 0.290" in charts[0].caption


def test_thresholds_of_adaptive_are_joined_and_named_on_the_line(grid):
    svg = str(cost_charts(Scores(grid))[0].svg)
    assert joined_lines(svg) == [3]
    for threshold in ("0", "0.25", "1.5"):
        assert f">{threshold}</text>" in svg
    assert svg.count(">adaptive[expensive=alm_v]</text>") == 1  # the curve, in the legend


def test_without_thresholds_nothing_is_joined(metric_rows):
    (chart,) = charts_of(metric_rows, {"greedy": 100.0, "adaptive": 150.0, "w_bon": 300.0})
    assert "line joins" not in chart.caption
    assert joined_lines(chart.svg) == []
    assert ">adaptive</text>" in chart.svg


def test_strategies_that_cost_the_same_do_not_cover_each_other(metric_rows):
    (chart,) = charts_of(metric_rows, {"greedy": 100.0, "token": 100.0, "bon": 400.0})
    greedy, token, bon = (float(x) for x, _ in marks(chart.svg)[:3])
    assert 5 < abs(greedy - token) < 20 < abs(bon - greedy)


@pytest.mark.parametrize(
    "costs",
    [
        {"greedy": 0.0},
        {"greedy": 100.0},
        {"greedy": 3.0, "cot": 90_000.0},
        {f"w_bon[tau={number}]": 100.0 + number for number in range(60)},
        {"adaptive[threshold=?]": 5.0, "x[threshold=1]": 7.0, "adaptive[threshold=1,tau=2]": 9.0},
    ],
)
def test_any_costs_can_be_drawn(metric_rows, costs):
    (chart,) = charts_of(metric_rows, costs)
    assert all(name in chart.svg for name in costs)


def test_series_that_would_cover_another_are_left_out_and_named(metric_rows):
    costs = {f"w_bon[tau={number}]": 100.0 for number in range(20)} | {"greedy": 900.0}
    (chart,) = charts_of(metric_rows, costs, greedy=0.5)
    places = {place for place in marks(chart.svg)}
    drawn = [name for name in costs if f">{name}</text>" in chart.svg]
    left_out = [name for name in costs if name not in drawn]
    assert "greedy" in drawn
    assert 1 < len(drawn) <= 14
    assert len(places) >= 2 * len(drawn), "in the panel and in the legend, none on another"
    assert "Not drawn, for want of room: " in chart.caption
    assert f"{len(left_out) - 12} more" in chart.caption if len(left_out) > 12 else True
    assert all(f"{name} 100 tokens" in chart.svg for name in left_out), "said in words all the same"


def test_what_has_no_known_cost_is_not_drawn(metric_rows):
    assert charts_of(metric_rows, {}) == []
    scores = Scores(metric_rows({"strategy": "greedy", "metric": "js", "value": 0.1}))
    assert cost_charts(scores) == []


def test_a_far_off_prior_leaves_the_figure_to_the_strategies(metric_rows):
    rows = [
        {"strategy": name, "metric": metric, "value": value}
        for name, js in (("greedy", 0.14), ("bon", 0.12))
        for metric, value in (("js", js), ("model_tokens", 1000 * js))
    ]
    for prior, words in ((0.15, "Dashed: the prior, 0.150"), (0.52, "Outside the figure")):
        found = metric_rows(*rows, {"strategy": "prior", "metric": "js", "value": prior})
        (chart,) = cost_charts(Scores(found))
        assert words in chart.caption


def test_hostile_names_stay_text(metric_rows):
    (chart,) = charts_of(metric_rows, {"<script>$x$": 10.0, "adaptive[threshold=<b>]": 20.0})
    assert "<script" not in chart.svg
    assert "<b>" not in chart.svg
