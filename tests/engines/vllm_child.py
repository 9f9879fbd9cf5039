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
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from raypipe.engines import load_engine
from raypipe.engines.vllm.installation import prepare_environment
from raypipe.errors import RaypipeError
from raypipe.records import Failure, Generation, ModelInput


@dataclass(frozen=True)
class Job:
    """An engine to make and the calls it gets.

    Attributes:
        sabotage: what is broken in it; see :func:`sabotaged`.
    """

    checkpoint: str
    settings: dict[str, Any]
    calls: list[list[ModelInput]]
    sabotage: str | None = None


@dataclass
class Answer:
    """What came of a job.

    Attributes:
        error: type and text of what making the engine raised.
        children: processes that the engine started.
        files: what it left in the temporary directory and in shared memory, while it was alive.
    """

    replies: list[list[Generation | Failure]] = field(default_factory=list)
    error: tuple[str, str] | None = None
    children: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)


def sabotaged(kind: str | None) -> AbstractContextManager[object]:
    """Something broken that only the check at the start can notice, while the context lasts."""
    from raypipe.engines.vllm import core, tap

    read, prompt = tap.read_rows, core.VllmCore.prompt

    def same_sound(self: core.VllmCore, one: ModelInput) -> core.Prompt:
        return prompt(self, dataclasses.replace(one, features=np.zeros_like(one.features)))

    broken = {
        "another request's": lambda logits, *rest: read(logits.roll(1, 0), *rest),
        "another token's": lambda logits, rows, kept, ids: read(logits, rows, kept, ids + 1),
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
    try:
        engine = load_engine("vllm")(job.checkpoint, **job.settings)
    except RaypipeError as error:
        made.error = (type(error).__name__, str(error))
        return made

    def call_all() -> None:
        made.replies = [engine.generate(inputs) for inputs in job.calls]

    # Ray makes an actor in one thread and calls it in another.
    caller = threading.Thread(target=call_all)
    caller.start()
    caller.join()
    made.children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    made.files = [name for name in leftovers() if name not in before]
    engine.close()
    return made


def main() -> None:
    jobs, answers = map(Path, sys.argv[1:])
    prepare_environment()
    made = []
    for job in pickle.loads(jobs.read_bytes()):
        with sabotaged(job.sabotage):
            made.append(answer(job))
    answers.write_bytes(pickle.dumps(made))


if __name__ == "__main__":
    main()
