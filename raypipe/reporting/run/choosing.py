"""Utterances that stand on the page about a run, chosen by rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from raypipe.reporting.names import PRIMARY, title
from raypipe.reporting.run.scores import Approach
from raypipe.store.sandbox import sandbox
from raypipe.store.views import text_literal

PER_RULE: Final = 4
"""Utterances of each rule."""


@dataclass(frozen=True, slots=True)
class ChosenUtterance:
    """An utterance, the name of its shard and the rule that chose it."""

    utterance_id: str
    shard: str
    rule: str


@dataclass(frozen=True, slots=True)
class _Rule:
    """A rule as SQL.

    Attributes:
        title: for people.
        where: a condition on the rows.
        order: a number that is smallest for the first one chosen; over all rows of an utterance
            where those of all strategies count.
        whole: whether rows of all strategies of the model and prompt count.
    """

    title: str
    where: str
    order: str
    whole: bool = False


@dataclass(frozen=True, slots=True)
class CandidateUtterance:
    """An utterance that a rule may choose.

    Attributes:
        place: what is smallest for the first one chosen; equal ones follow by id.
    """

    place: float
    utterance_id: str
    shard: str


@dataclass(frozen=True, slots=True)
class Candidates:
    """The first utterances of some rows, by every rule.

    Attributes:
        by_rule: by the rule's title, in the order of the rules, smallest first.
    """

    by_rule: tuple[tuple[str, tuple[CandidateUtterance, ...]], ...]

    def merge(self, other: Candidates) -> Candidates:
        """The first utterances of the rows of both, which have no utterance in common."""
        return Candidates(
            tuple(
                (rule, tuple(sorted((*own, *more), key=_first)[: _most(self.by_rule)]))
                for (rule, own), (_, more) in zip(self.by_rule, other.by_rule, strict=True)
            )
        )

    @property
    def chosen(self) -> tuple[ChosenUtterance, ...]:
        """Up to :data:`PER_RULE` utterances for every rule, in the order of the rules.

        One that an earlier rule has chosen is passed over.
        """
        chosen: dict[str, ChosenUtterance] = {}
        for rule, candidates in self.by_rule:
            fresh = [each for each in candidates if each.utterance_id not in chosen][:PER_RULE]
            chosen |= {
                each.utterance_id: ChosenUtterance(each.utterance_id, each.shard, rule)
                for each in fresh
            }
        return tuple(chosen.values())


def _first(candidate: CandidateUtterance) -> tuple[float, str]:
    return candidate.place, candidate.utterance_id


def _most(rules: Sequence[object]) -> int:
    """Candidates that one rule needs: all others may have chosen the first ones before."""
    return PER_RULE * len(rules)


CHOOSING_COLUMNS: Final = (
    *("utterance_id", "model", "prompt", "strategy", "valid", PRIMARY, "true_entropy"),
)
"""Columns of ``predictions/`` that the rules look at."""


def candidates(predictions: pa.Table, focus: Approach, typical_js: float | None) -> Candidates:
    """The first utterances of some predictions, by every rule.

    Of equal ones those with the first ids are taken, so that the order of the rows decides nothing.

    Args:
        predictions: rows of ``predictions/``, whole utterances, and ``shard``, the name of theirs.
        focus: the approach that the page looks at most closely, named as in the table.
        typical_js: median JS of the focus approach; None where nothing is scored.
    """
    rules = _rules(typical_js)
    found = []
    with sandbox() as connection:
        connection.register("predictions", predictions)
        for rule in rules:
            rows = connection.execute(f"{_query(rule, focus)} LIMIT {_most(rules)}").fetchall()
            first = tuple(CandidateUtterance(place, str(key), str(at)) for place, key, at in rows)
            found.append((rule.title, first))
    return Candidates(tuple(found))


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
        _Rule("invalid answers", "NOT valid", "0"),
    ]


def _query(rule: _Rule, focus: Approach) -> str:
    keys = {"model": focus.model, "prompt": focus.prompt}
    if not rule.whole:
        keys["strategy"] = focus.strategy
    # Without groups DuckDB keeps no more rows than it gives, however many utterances there are.
    groups = "GROUP BY utterance_id, shard " if rule.whole else ""
    same = " AND ".join(f"{key} = {text_literal(value)}" for key, value in keys.items())
    return (
        f"SELECT ({rule.order})::DOUBLE AS place, utterance_id, shard FROM predictions"
        f" WHERE {same} AND {rule.where} {groups}ORDER BY place, utterance_id"
    )
