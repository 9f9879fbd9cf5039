"""Verdicts as rows of the table ``judgements``, and what they come to as a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields

import pyarrow as pa

from raypipe.explain.judge.pairs import ReasonPair
from raypipe.explain.judge.statistics import JudgeTally
from raypipe.explain.judge.verdicts import JudgedPair, read_verdict
from raypipe.store.judge_schemas import JUDGEMENTS, WIN_RATES
from raypipe.store.strict import table_from_rows


@dataclass(frozen=True, slots=True)
class AnsweredPair:
    """A pair and what a judge wrote about it.

    Attributes:
        transcript: that the judge was shown; None for none.
        first_as_a: answer with the first system as A.
        second_as_a: answer with the second system as A.
    """

    pair: ReasonPair
    transcript: str | None
    first_as_a: str
    second_as_a: str

    @property
    def judged(self) -> JudgedPair:
        """The pair with its verdicts."""
        return JudgedPair(
            speaker=self.pair.speaker,
            label=self.pair.label,
            utterance_id=self.pair.utterance_id,
            first_as_a=read_verdict(self.first_as_a),
            second_as_a=read_verdict(self.second_as_a),
        )


def judgements_table(
    answered: Iterable[AnsweredPair],
    *,
    run: str,
    model: str,
    prompt: str,
    prompt_hash: str,
    systems: tuple[str, str],
) -> pa.Table:
    """Rows of ``judgements``.

    Args:
        answered: pairs with the judge's answers.
        run: short id of the job.
        model: name of the judge in the tables.
        prompt: name of the prompt in the tables.
        prompt_hash: of a question without reasons.
        systems: names of both.
    """
    rows = []
    for row in answered:
        pair, judged = row.pair, row.judged
        rows.append(
            {
                "run": run,
                "utterance_id": pair.utterance_id,
                "model": model,
                "prompt": prompt,
                "speaker": pair.speaker,
                "label": pair.label,
                "first": systems[0],
                "second": systems[1],
                "first_reason": pair.first,
                "second_reason": pair.second,
                "transcript": row.transcript,
                "first_is_a": pair.first_is_a,
                "first_as_a": judged.first_as_a,
                "second_as_a": judged.second_as_a,
                "first_as_a_text": row.first_as_a,
                "second_as_a_text": row.second_as_a,
                "consistent": judged.is_consistent,
                "win": judged.win,
                "prompt_hash": prompt_hash,
            }
        )
    return table_from_rows(rows, JUDGEMENTS)


def judged_pairs(rows: pa.Table) -> list[JudgedPair]:
    """The verdicts in rows of ``judgements``."""
    names = [field.name for field in fields(JudgedPair)]
    return [JudgedPair(**row) for row in rows.select(names).to_pylist()]


def win_rates_table(tallies: Iterable[JudgeTally], systems: tuple[str, str]) -> pa.Table:
    """What verdicts come to, a row for every group."""
    rows = []
    for tally in tallies:
        row: dict[str, object] = {"first": systems[0], "second": systems[1]}
        for name, value in asdict(tally).items():
            if isinstance(value, dict):
                row |= {name: value["value"], f"{name}_low": value["low"]}
                row[f"{name}_high"] = value["high"]
            else:
                row[name] = value
        rows.append({name: None if value != value else value for name, value in row.items()})
    return table_from_rows(rows, WIN_RATES)
