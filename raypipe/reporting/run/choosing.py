"""Utterances that stand on the page about a run, chosen by rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.dataset as ds

from raypipe.reporting.names import PRIMARY, title
from raypipe.reporting.run.scores import Approach
from raypipe.store.sandbox import sandbox
from raypipe.store.views import text_literal

PER_RULE: Final = 4
"""Utterances of each rule."""


@dataclass(frozen=True, slots=True)
class ChosenUtterance:
    """An utterance and the rule that chose it."""

    utterance_id: str
    rule: str


@dataclass(frozen=True, slots=True)
class _Rule:
    """A rule as SQL.

    Attributes:
        title: for people.
        where: a condition on the rows.
        order: what is smallest for the first one chosen; over all rows of an utterance where
            those of all strategies count.
        whole: whether rows of all strategies of the model and prompt count.
    """

    title: str
    where: str
    order: str
    whole: bool = False


def choose_utterances(
    predictions: ds.Dataset | pa.Table, focus: Approach, typical_js: float | None
) -> tuple[ChosenUtterance, ...]:
    """Up to :data:`PER_RULE` utterances for every rule, in the order of the rules.

    One that an earlier rule has chosen is passed over; of equal ones those with the first ids are
    taken, so that the order of the rows decides nothing.

    Args:
        predictions: the ``predictions/`` table.
        focus: the approach that the page looks at most closely, named as in the table.
        typical_js: median JS of the focus approach; None where nothing is scored.
    """
    chosen: dict[str, ChosenUtterance] = {}
    with sandbox() as connection:
        connection.register("predictions", predictions)
        for rule in _rules(typical_js):
            limit = len(chosen) + PER_RULE
            rows = connection.execute(f"{_query(rule, focus)} LIMIT {limit}").fetchall()
            fresh = list(dict.fromkeys(str(key) for (key,) in rows if key not in chosen))
            chosen |= {key: ChosenUtterance(key, rule.title) for key in fresh[:PER_RULE]}
    return tuple(chosen.values())


def _rules(typical_js: float | None) -> list[_Rule]:
    scored = f"valid AND {PRIMARY} IS NOT NULL AND NOT isnan({PRIMARY})"
    median = [] if typical_js is None else [f"abs({PRIMARY} - {typical_js!r})"]
    name = title(PRIMARY)
    return [
        _Rule(f"lowest {name}", scored, PRIMARY),
        *(_Rule(f"nearest to the median {name}", scored, order) for order in median),
        _Rule(f"highest {name}", scored, f"-{PRIMARY}"),
        _Rule(
            "most ambiguous votes",
            "valid AND true_entropy IS NOT NULL AND NOT isnan(true_entropy)",
            "-true_entropy",
        ),
        _Rule(
            f"strategies furthest apart in {name}",
            scored,
            f"min({PRIMARY}) - max({PRIMARY})",
            whole=True,
        ),
        _Rule("invalid answers", "NOT valid", "utterance_id"),
    ]


def _query(rule: _Rule, focus: Approach) -> str:
    keys = {"model": focus.model, "prompt": focus.prompt}
    if not rule.whole:
        keys["strategy"] = focus.strategy
    # Without groups DuckDB keeps no more rows than it gives, however many utterances there are.
    groups = "GROUP BY utterance_id " if rule.whole else ""
    same = " AND ".join(f"{key} = {text_literal(value)}" for key, value in keys.items())
    return (
        f"SELECT utterance_id FROM predictions WHERE {same} AND {rule.where} "
        f"{groups}ORDER BY {rule.order}, utterance_id"
    )
