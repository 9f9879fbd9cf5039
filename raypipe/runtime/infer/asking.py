"""Texts put to a model that only reads."""

from __future__ import annotations

from collections.abc import Sequence

from raypipe.engines.contract import Tagged
from raypipe.protocols import Frontend, RunEngine
from raypipe.records import Failure, Generation, Request, Search

Model = tuple[Frontend[Tagged], RunEngine[Tagged]]
"""Both halves of the engine of a model."""


def ask_texts(
    prompts: Sequence[str], model: Model, max_new_tokens: int
) -> list[Generation | Failure]:
    """One greedy reply for every prompt, in their order.

    Args:
        prompts: users' turns.
        model: that is asked.
        max_new_tokens: longest reply, in tokens.

    Raises:
        StoppedError: if the engine stops, say at the end of its budget.
    """
    frontend, engine = model
    requests = [
        Request(f"request {number}", prompt, None) for number, prompt in enumerate(prompts, 1)
    ]
    prepared = frontend.prepare(requests)
    ready = [item for item in prepared if not isinstance(item, Failure)]
    search = Search(0, True, max_new_tokens)
    replies = iter(engine.generate(ready, search) if ready else ())
    return [item if isinstance(item, Failure) else next(replies) for item in prepared]
