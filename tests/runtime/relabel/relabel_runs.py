"""Shards whose annotators typed, a relabel job's config over them, and a model in this process."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from in_process import InProcess, utterance
from relabel_items import Model, said

from raypipe.records import Utterance, Vote
from raypipe.runtime.relabel.config import RelabelConfig
from raypipe.runtime.relabel.plan import RelabelPlan, plan_relabel


def typed(name: str, *words: str, soft: bool = True) -> Utterance:
    """An utterance with a vote for each description, and without a reference if not ``soft``."""
    heard = utterance(name, 0.05)
    votes = tuple(Vote(f"t{at}", ("other",), text) for at, text in enumerate(words))
    if soft:
        return dataclasses.replace(heard, votes=(*heard.votes, *votes))
    return dataclasses.replace(heard, votes=votes, soft_label=None, plurality=None, n_votes=0)


def document(run: InProcess, **changes: Any) -> dict[str, Any]:
    return {
        "input": {"shards": str(run.shards)},
        "output": run.tables.uri,
        "model": {"engine": "fake", "path": "none", "name": "fake"},
        "items_per_request": 2,
        **changes,
    }


def relabel_plan(run: InProcess, **changes: Any) -> RelabelPlan:
    return plan_relabel(RelabelConfig.model_validate(document(run, **changes)))


def as_model(answers: Model) -> Any:
    """Both halves of an engine that answers prompts as a test says."""

    def generate(inputs: Sequence[Any], search: Any) -> list[Any]:
        assert (search.beam_count, search.greedy) == (0, True)
        return answers([request.prompt for request in inputs])

    frontend = SimpleNamespace(prepare=lambda requests: list(requests))
    return frontend, SimpleNamespace(generate=generate)


def all_afraid() -> Model:
    """Says of every item that it is a quarter fear and the rest neutral."""
    return Model(
        lambda items, _: [
            said(index, shown["descriptions"], fear=0.25, neutral=0.75)  # type: ignore[arg-type]
            for index, shown in items.items()
        ]
    )
