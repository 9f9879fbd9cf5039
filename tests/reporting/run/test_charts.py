"""Colours of strategies across figures."""

from __future__ import annotations

from raypipe.reporting.run.charts import line_colours
from raypipe.reporting.run.scores import Approach


def approach(name: str) -> Approach:
    return Approach("m", "p", name)


def test_a_strategy_has_one_colour_in_all_figures() -> None:
    greedy, token, bon, prior = map(approach, ("greedy", "token", "bon", "prior"))
    first = [greedy, token, prior]
    assert line_colours(first, first) == {greedy: 0, token: 1}
    # bon is left out of the first figure, and token of the second.
    assert line_colours(first, [greedy, bon, prior]) == {greedy: 0, bon: 1}
    assert line_colours(first, [token, bon]) == {token: 1, bon: 0}
    assert line_colours([], [bon, token]) == {bon: 0, token: 1}
