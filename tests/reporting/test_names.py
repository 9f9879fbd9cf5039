"""What is known of names, and what is said of names that are not known."""

from __future__ import annotations

import pytest

from raypipe.reporting import names


@pytest.mark.parametrize(
    ("metric", "title", "better", "form"),
    [
        ("js", "JS", "lower", "score"),
        ("js.median", "JS, median", "lower", "score"),
        ("accuracy.invalid_as_uniform", "Accuracy, invalid as uniform", "higher", "score"),
        ("kl_skill", "Skill in KL", "higher", "score"),
        ("f1=anger", "F1 of anger", "higher", "score"),
        ("ties", "Ties", None, "amount"),
        ("invalid_rate", "Invalid", "lower", "share"),
        ("mine", "mine", None, "number"),
        ("mine.median", "mine.median", None, "number"),
        ("mine_skill", "mine_skill", None, "number"),
    ],
)
def test_a_metric_s_title_direction_and_format(
    metric: str, title: str, better: str | None, form: str
) -> None:
    assert names.title(metric) == title
    assert names.better(metric) == better
    assert names.number_format(metric) == form


def test_what_the_pages_name_is_known() -> None:
    named = {
        names.PRIMARY,
        names.INVALID,
        names.TOKENS,
        names.CALLS,
        names.ESCALATED,
        *names.headline_metrics(),
        *names.charted_metrics(),
        *names.calibration_metrics(),
    }
    for metric in named:
        assert names.title(metric) != metric
    for metric in names.headline_metrics():
        assert names.definition(metric)
        assert names.better(metric) is not None
    assert names.better(names.PRIMARY) == "lower"  # charts and verdicts are worded that way
