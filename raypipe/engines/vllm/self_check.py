"""Check that what is read from vLLM is what vLLM computes, on the loaded model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from raypipe.engines.prefix_search import Continuations, Prefix
from raypipe.engines.vllm.exchange import EncodedPrompt, GreedyStep, Refusal
from raypipe.errors import EngineError
from raypipe.protocols import Frontend
from raypipe.records import ModelInput, Request

if TYPE_CHECKING:
    from raypipe.engines.vllm.core import VllmCore

_Given = TypeVar("_Given", EncodedPrompt, Continuations)

_QUESTION = "Which emotion does the speaker express?"
_STEPS = 4
_COMPARED_IDS = 100
"""vLLM gives log-probabilities of at most 128 chosen ids."""

_TOLERANCE = {"float32": 5e-3, "float16": 0.1, "bfloat16": 0.5}
"""Batches of another shape round differently, by some units of the arithmetic at logits around 20.
Another request's logits, or another token's, are off by more."""


def check_core(
    core: VllmCore, frontend: Frontend[ModelInput], recorded_ids: Sequence[int], dtype: str
) -> None:
    """Ask about two sounds in one batch, and hold the answers against vLLM's own.

    vLLM answers greedily by its own means first: one request that carries its cache from token to
    token, with log-probabilities as vLLM reports them. The same tokens are then asked for one by
    one, as the search does it: the log-softmax of the recorded raw logits must be those
    log-probabilities. And the two sounds must not be answered alike, or the model is not given
    its audio.

    Raises:
        EngineError: naming the step and both values, if they disagree.
    """
    prompts = [_given(core.prompt(sound)) for sound in _sounds(frontend)]
    compared = list(recorded_ids[:_COMPARED_IDS])
    expected = [core.greedy(prompt, compared, _STEPS) for prompt in prompts]
    prefixes: list[Prefix] = [()] * len(prompts)
    for step in range(_STEPS):
        for sound, prompt in enumerate(prompts):
            core.ask(prompt, prefixes[sound], None, sound)
        answers = _all_answers(core, len(prompts))
        if step == 0:
            _check_audio_is_used(answers[0], answers[1])
        for sound, continuations in enumerate(answers):
            _check_step(continuations, expected[sound][step], compared, step, _TOLERANCE[dtype])
            # vLLM's choice, not ours: after a near tie both go on with the same prefix.
            prefixes[sound] = (*prefixes[sound], expected[sound][step].token_id)


def _sounds(frontend: Frontend[ModelInput]) -> list[ModelInput]:
    """A second of a tone and a second of noise, as model inputs."""
    samples = frontend.sampling_rate
    tone = 0.2 * np.sin(2 * np.pi * 220 * np.arange(samples) / samples)
    noise = np.random.default_rng(0).normal(0, 0.1, samples)
    requests = [
        Request(f"self-check {name}", _QUESTION, sound.astype(np.float32))
        for name, sound in (("tone", tone), ("noise", noise))
    ]
    inputs = [made for made in frontend.prepare(requests) if isinstance(made, ModelInput)]
    if len(inputs) != len(requests):
        raise EngineError("the self-check's sounds cannot be made into model inputs")
    return inputs


def _all_answers(core: VllmCore, count: int) -> list[Continuations]:
    answers: dict[int, Continuations] = {}
    while len(answers) < count:
        for asker, answer in core.answers():
            answers[asker] = _given(answer)
    return [answers[sound] for sound in range(count)]


def _given(answer: _Given | Refusal) -> _Given:
    """Answer that was asked for; EngineError if it was refused."""
    if isinstance(answer, Refusal):
        raise EngineError(f"the self-check is refused an answer: {answer.message}")
    return answer


def _check_audio_is_used(first: Continuations, second: Continuations) -> None:
    if np.array_equal(first.logits, second.logits) and np.array_equal(
        first.recorded, second.recorded
    ):
        raise EngineError("vLLM answers a tone and noise with the same logits: no audio reaches it")


def _check_step(
    answer: Continuations, own: GreedyStep, compared: Sequence[int], step: int, tolerance: float
) -> None:
    logprobs = dict(
        zip(
            answer.token_ids.tolist(), (answer.logits - answer.log_normaliser).tolist(), strict=True
        )
    )
    read = answer.recorded[: len(compared)] - answer.log_normaliser
    logprobs |= dict(zip(compared, read.tolist(), strict=True))
    for token_id, expected in own.logprobs.items():
        logprob = logprobs.get(token_id)
        if logprob is None or not abs(logprob - expected) <= tolerance:
            raise EngineError(
                f"vLLM gives token {token_id} the log-probability {expected:.6g} at step {step} of "
                f"the self-check, the logits read there {logprob}"
            )
