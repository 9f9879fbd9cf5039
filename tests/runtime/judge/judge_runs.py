"""A judge job's config over made-up answers, and a judge in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from in_process import InProcess
from judge_server import Rule, reasons_in
from judged_answers import two_systems, write_answers
from relabel_items import generation

from raypipe.records import Failure
from raypipe.runtime.judge.config import JudgeConfig
from raypipe.runtime.judge.plan import JudgePlan, plan_judge


def document(run: InProcess, count: int = 12, **changes: Any) -> dict[str, Any]:
    """A config of both systems' answers about the first so many utterances."""
    first, second = two_systems(count)
    return {
        "first": {
            "name": "tuned",
            "answers": str(write_answers(run.folder / "first.jsonl", first)),
        },
        "second": {
            "name": "plain",
            "answers": str(write_answers(run.folder / "second.jsonl", second)),
        },
        "output": run.tables.uri,
        "model": {"engine": "fake", "path": "none", "name": "fake"},
        **changes,
    }


def judge_plan(run: InProcess, count: int = 12, **changes: Any) -> JudgePlan:
    return plan_judge(JudgeConfig.model_validate(document(run, count, **changes)))


class Judge:
    """Both halves of an engine that judges by a rule, and what it was asked.

    Args:
        rule: how it decides.
        failing: whether a question fails, by its prompt.
    """

    def __init__(self, rule: Rule, failing: Callable[[str], bool] = lambda prompt: False) -> None:
        self._rule, self._failing = rule, failing
        self.requests: list[Any] = []

    @property
    def model(self) -> Any:
        frontend = SimpleNamespace(
            sampling_rate=16_000, max_duration_s=8.0, prepare=lambda requests: list(requests)
        )
        return frontend, SimpleNamespace(generate=self._generate)

    def _generate(self, inputs: Sequence[Any], search: Any) -> list[Any]:
        assert (search.beam_count, search.greedy) == (0, True)
        self.requests += inputs
        return [
            Failure(request.utterance_id, "engine", "timeout", "no answer")
            if self._failing(request.prompt)
            else generation(self._rule(request.prompt, *reasons_in(request.prompt)))
            for request in inputs
        ]
