"""Which utterances a teacher is asked about."""

from __future__ import annotations

import dataclasses

from in_process import InProcess
from rationale_runs import rationale_plan, training

from raypipe.labels import LabelSet
from raypipe.records import Failure
from raypipe.runtime.rationale.choosing import (
    LeftOut,
    UtteranceChoice,
    count_left_out,
    gold_of,
)

CHOICE = UtteranceChoice(("train",), "plurality", None, True)


def test_a_gold_label_or_why_there_is_none() -> None:
    row = training("u1")
    assert gold_of(row, CHOICE) == row.plurality
    other = dataclasses.replace(row, split="test")
    assert gold_of(other, CHOICE) == LeftOut("split test")
    tied = dataclasses.replace(row, plurality=None)
    assert isinstance(gold_of(tied, CHOICE), LeftOut)
    only = dataclasses.replace(CHOICE, labels=LabelSet(("x", "y")))
    assert gold_of(row, only) == LeftOut(f"label {row.plurality}")
    silent = gold_of(dataclasses.replace(row, transcript=" "), CHOICE)
    assert isinstance(silent, Failure)
    assert silent.error_type == "no_transcript"
    anyway = dataclasses.replace(CHOICE, transcript_needed=False)
    assert gold_of(dataclasses.replace(row, transcript=None), anyway) == row.plurality


def test_what_is_left_out_is_counted_by_shard(corpus: InProcess) -> None:
    plan = rationale_plan(corpus)
    context = plan.context
    counts = count_left_out(context.shards, plan.tasks, context.labels, context.choice)
    assert counts == {plan.tasks[0].entry.name: {"split test": 1}}
