"""Lines of the ambiguity figure that cannot be told apart are left out and named."""

from raypipe.reporting.run.charts import ambiguity_charts
from raypipe.reporting.run.fitting import left_out_in_words
from raypipe.reporting.run.scores import Scores

BINS = [f"ambiguity_count_{number}" for number in range(1, 6)]


def chart_of(metric_rows, lines):
    rows = [
        {"strategy": name, "metric": "js", "slice": where, "value": value}
        for name, values in lines.items()
        for where, value in zip(["all", *BINS], [sum(values) / 5, *values], strict=True)
    ]
    (chart,) = ambiguity_charts(Scores(metric_rows(*rows)), "js")
    return chart


def test_equal_lines_are_drawn_once(metric_rows):
    chart = chart_of(
        metric_rows,
        {
            "greedy": [0.1, 0.2, 0.3, 0.4, 0.5],
            "token": [0.5, 0.4, 0.3, 0.2, 0.15],
            "bon": [0.1, 0.2, 0.3, 0.4, 0.499],
            "w_bon": [0.09, 0.2, 0.3, 0.4, 0.5],
        },
    )
    assert "greedy" not in chart.svg, "w_bon is better, so its line stays"
    assert "Not drawn, for want of room: greedy and bon." in chart.caption
    for name in ("token", "w_bon"):
        assert f">{name}</text>" in chart.svg


def test_lines_that_part_in_one_bin_are_both_drawn(metric_rows):
    chart = chart_of(metric_rows, {"greedy": [0.1] * 5, "token": [0.1, 0.1, 0.1, 0.1, 0.3]})
    assert "Not drawn" not in chart.caption


def test_a_caption_names_a_dozen_and_counts_the_rest():
    words = left_out_in_words([f"s{number}" for number in range(15)])
    assert words.endswith("s11 and 3 more, which are in the metrics table.")
    assert left_out_in_words(["bon"]) == "Not drawn, for want of room: bon."
