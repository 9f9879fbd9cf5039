"""A rationale job's config over shards of noise, and a teacher in this process."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

from in_process import InProcess, utterance
from relabel_items import generation

from raypipe.records import Failure, Request, Utterance
from raypipe.runtime.rationale.config import RationaleConfig
from raypipe.runtime.rationale.plan import RationalePlan, plan_rationale

GOOD = "The word is short. The voice is high, rising and fast, with few pauses between syllables."
FAKE = {"engine": "fake", "path": "none", "name": "fake"}

Answer = Callable[[Request], object]


def training(name: str, **changes: Any) -> Utterance:
    """An utterance of a training split, half a second of noise."""
    return dataclasses.replace(utterance(name), split="train", **changes)


def rationale_plan(run: InProcess, **changes: Any) -> RationalePlan:
    document = {
        "input": {"shards": str(run.shards)},
        "output": run.tables.uri,
        "model": FAKE,
        "splits": ["train"],
        **changes,
    }
    return plan_rationale(RationaleConfig.model_validate(document))


class InProcessTeacher:
    """Both halves of an engine that answers requests as a test says, and remembers them."""

    def __init__(self, answer: Answer) -> None:
        self.asked: list[Request] = []
        self._answer = answer

    @property
    def halves(self) -> Any:
        """As a loaded model has them."""

        def with_prompt(prepared: Request, prompt: str) -> Request:
            return dataclasses.replace(prepared, prompt=prompt)

        frontend = SimpleNamespace(
            prepare=lambda requests: list(requests), with_prompt=with_prompt, sampling_rate=16_000
        )
        return frontend, SimpleNamespace(generate=self._generate, audio_cache=nullcontext)

    def _generate(self, inputs: Sequence[Request], search: Any) -> list[Any]:
        assert (search.beam_count, search.greedy) == (0, True)
        self.asked += inputs
        replies = [self._answer(request) for request in inputs]
        return [
            reply if isinstance(reply, Failure) else generation(str(reply)) for reply in replies
        ]
