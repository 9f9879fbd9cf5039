"""What the vLLM engine says, from a process of its own.

    python tests/engines/vllm_child.py JOBS ANSWERS

vLLM changes the process it runs in (threads, memory binding, the garbage collector); that of the
tests stays as it is. JOBS is a pickled list of :class:`Job`, ANSWERS one of :class:`Answer`.
"""

from __future__ import annotations

import dataclasses
import glob
import os
import pickle
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from searching import split_search

from raypipe.engines.vllm.exchange import EncodedPrompt, Refusal
from raypipe.engines.vllm.frontend import VllmFrontend
from raypipe.engines.vllm.installation import prepare_environment
from raypipe.engines.vllm.self_check import check_core
from raypipe.errors import RaypipeError
from raypipe.records import Failure, Generation, ModelInput


@dataclass(frozen=True)
class Job:
    """An engine to make and the calls it gets.

    Attributes:
        sabotage: what is broken in it from the start; see :func:`sabotaged`.
        checks: what to break afterwards, one at a time, for the check of the start to find.
    """

    checkpoint: str
    settings: dict[str, Any]
    calls: list[list[ModelInput]]
    sabotage: str | None = None
    checks: tuple[str | None, ...] = ()


@dataclass
class Answer:
    """What came of a job.

    Attributes:
        error: type and text of what making the engine raised.
        checks: the same of each check.
        children: processes that the engine started.
        files: what it left in the temporary directory and in shared memory, while it was alive.
    """

    replies: list[list[Generation | Failure]] = field(default_factory=list)
    error: tuple[str, str] | None = None
    checks: list[tuple[str, str] | None] = field(default_factory=list)
    children: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)


def sabotaged(kind: str | None) -> AbstractContextManager[object]:
    """Something broken that only a check can notice, while the context lasts."""
    from raypipe.engines.vllm import core, tap

    read, prompt = tap.read_rows, core.VllmCore.prompt

    def same_sound(self: core.VllmCore, one: ModelInput) -> EncodedPrompt | Refusal:
        return prompt(self, dataclasses.replace(one, features=np.zeros_like(one.features)))

    broken = {
        "another request's": lambda logits, *rest: read(logits.roll(1, 0), *rest),
        "another token's": lambda logits, rows, kept, ids, allowed: read(
            logits, rows, kept, ids + 1, allowed
        ),
        "not raw": lambda logits, *rest: read(logits / 1.3, *rest),
    }
    if kind is None:
        return nullcontext()
    if kind == "no audio":
        return patch.object(core.VllmCore, "prompt", same_sound)
    return patch.object(tap, "read_rows", broken[kind])


def leftovers() -> list[str]:
    mine = glob.glob(f"{tempfile.gettempdir()}/vllm*")
    return sorted(mine + os.listdir("/dev/shm"))


def answer(job: Job) -> Answer:
    before = leftovers()
    made = Answer()
    made.error = raised(lambda: use(job, made, before))
    return made


def use(job: Job, made: Answer, before: list[str]) -> None:
    with sabotaged(job.sabotage):
        from raypipe.engines.vllm.engine import VllmEngine

        search, own = split_search(job.settings)
        engine = VllmEngine(job.checkpoint, searches=[search], **own)

    def call_all() -> None:
        made.replies = [engine.generate(inputs, search) for inputs in job.calls]

    # Ray makes an actor in one thread and calls it in another.
    caller = threading.Thread(target=call_all)
    caller.start()
    caller.join()
    frontend = VllmFrontend(job.checkpoint)
    recorded_ids = job.settings["emotion_tokens"].token_ids
    for kind in job.checks:
        with sabotaged(kind):
            made.checks.append(
                raised(lambda: check_core(engine._core, frontend, recorded_ids, "float32"))
            )
    made.children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    made.files = [name for name in leftovers() if name not in before]
    engine.close()


def raised(call: Callable[[], None]) -> tuple[str, str] | None:
    """Type and text of the error of raypipe's own that a call raises."""
    try:
        call()
    except RaypipeError as error:
        return type(error).__name__, str(error)
    return None


def main() -> None:
    jobs, answers = map(Path, sys.argv[1:])
    prepare_environment()
    made = [answer(job) for job in pickle.loads(jobs.read_bytes())]
    answers.write_bytes(pickle.dumps(made))


if __name__ == "__main__":
    # Under its own name, so that what is pickled can be read by whoever imports this module.
    from vllm_child import main as run

    run()
