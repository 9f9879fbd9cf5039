"""What jobs tell Prometheus, by Ray's own exporters: one on every node, nothing to install.

Ray puts ``ray_`` before each name. Without a connection to Ray nothing is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import ray
from ray.util.metrics import Counter, Gauge

from raypipe.records import Failure, Generation


class EngineTime(Protocol):
    """How long an engine took for one kind of question."""

    @property
    def question(self) -> str: ...  # noqa: D102

    @property
    def seconds(self) -> float: ...  # noqa: D102


@cache
def _gauge(name: str, description: str, *tags: str) -> Gauge:
    return Gauge(name, description, tags)


@cache
def _counter(name: str, description: str, *tags: str) -> Counter:
    return Counter(name, description, tags)


@dataclass(frozen=True)
class ProgressMetrics:
    """How far the job of this process is.

    Attributes:
        what: it counts, such as ``utterances``.
    """

    what: str

    def show(self, total: int, done: int, failed: int) -> None:
        """Tell how many there are, and how many of them are done: all attempts', failed ones too.

        Args:
            total: in the job.
            done: of all attempts.
            failed: of this attempt.
        """
        if ray.is_initialized():
            gauge = _gauge(
                "raypipe_items", "Utterances, clips or the like of a job.", "what", "state"
            )
            for state, number in {"total": total, "done": done, "failed": failed}.items():
                gauge.set(number, {"what": self.what, "state": state})

    def show_wait(self, seconds: float) -> None:
        """Tell for how long the storage has not answered; 0 once it does."""
        if ray.is_initialized():
            description = "Seconds for which a job's storage has not answered."
            _gauge("raypipe_storage_wait_seconds", description).set(seconds)


def count_answers(
    model: str,
    times: Sequence[EngineTime],
    answers: Iterable[Sequence[Generation | Failure]],
) -> None:
    """Tell what a shard took of a model: one shard, seconds, tokens that went in and came out.

    Args:
        model: its name in the tables.
        times: of the shard's questions.
        answers: to them, by row and prompt; each question's prompt counts once, and verifiers'
            tokens do not.
    """
    if not ray.is_initialized():
        return
    model = model.encode("ascii", "backslashreplace").decode()  # Ray takes no other characters
    _counter("raypipe_shards", "Shards that a model has answered.", "model").inc(
        1, {"model": model}
    )
    seconds = _counter(
        "raypipe_engine_seconds", "Seconds that engines were busy.", "model", "question"
    )
    for time in times:
        if time.seconds > 0:
            seconds.inc(time.seconds, {"model": model, "question": time.question})
    given = [answer for row in answers for answer in row if isinstance(answer, Generation)]
    tokens = {
        "in": sum(asked.prompt_tokens or 0 for answer in given for asked in answer.questions),
        "out": sum(hypothesis.steps for answer in given for hypothesis in answer.hypotheses),
    }
    counter = _counter("raypipe_tokens", "Tokens of prompts and answers.", "model", "direction")
    for direction, number in tokens.items():
        if number > 0:
            counter.inc(number, {"model": model, "direction": direction})
