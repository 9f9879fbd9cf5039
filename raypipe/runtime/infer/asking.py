"""Questions put to a model outside a run: what jobs that ask one share."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from raypipe.config import RunConfig
from raypipe.engines.contract import Tagged
from raypipe.errors import RaypipeError, unexpected
from raypipe.protocols import Frontend, RunEngine
from raypipe.records import EmotionTokens, Failure, Generation, Request, Search
from raypipe.runtime.infer.models import make_frontend, models_awaited
from raypipe.runtime.infer.supervised import run_engine

Model = tuple[Frontend[Tagged], RunEngine[Tagged]]
"""Both halves of the engine of a model."""

_logger = logging.getLogger(__name__)


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
    return answer(frontend.prepare(requests), engine, Search(0, True, max_new_tokens))


def answer(
    inputs: Sequence[Tagged | Failure], engine: RunEngine[Tagged], search: Search
) -> list[Generation | Failure]:
    """One reply for every input; those that could not be made ready stay as they are."""
    ready = [item for item in inputs if not isinstance(item, Failure)]
    replies = iter(engine.generate(ready, search) if ready else ())
    return [item if isinstance(item, Failure) else next(replies) for item in inputs]


def load_model(run: RunConfig, tokens: EmotionTokens) -> Model | str:
    """The model of a run, in a process of its own; or, as actors must not raise, why not.

    Args:
        run: under which the model is asked.
        tokens: of the model's frontend.

    Returns:
        Both halves of its engine, or one line that says why it cannot be loaded.
    """
    name = run.model.label
    try:
        with models_awaited(run):
            frontend = make_frontend(run.model)
        return frontend, run_engine(run, tokens, ())
    except Exception as error:
        _logger.exception("model %s cannot be loaded", name)
        reason = str(error) if isinstance(error, RaypipeError) else unexpected(error)[1]
        return f"model {name} cannot be loaded: {' '.join(reason.split())}"
