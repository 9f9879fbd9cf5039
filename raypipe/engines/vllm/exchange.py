"""Records that go into vLLM's core and come out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vllm.multimodal.inputs import MultiModalFeatureSpec


@dataclass(frozen=True, slots=True)
class CoreSettings:
    """Settings of vLLM's engine core.

    Attributes:
        device: ``auto``, ``cpu`` or ``cuda``; vLLM runs on what it was built for.
        audio_token_id: id that stands for one encoder output.
        kept: continuations read of each prefix.
        recorded_ids: ids whose raw logits are read too.
        repetition: factor of the penalty that the searches apply; 1 for none.
        max_positions: tokens of the longest prompt with its answer.
        max_questions: prefixes computed together.
        usual_positions: tokens of all prompts and answers in progress, as a rule.
        gpu_memory_share: share of the GPU's memory for weights, cache and activations.
        kv_cache_bytes: of the key-value cache; None takes what is left of the GPU's share, or on
            a CPU what ``usual_positions`` need, at most a quarter of the free memory.
        enforce_eager: do without compilation and CUDA graphs; None does so on a CPU.
    """

    model_path: str
    revision: str | None
    trust_remote_code: bool
    dtype: str
    device: str
    threads: int | None
    audio_token_id: int
    kept: int
    recorded_ids: tuple[int, ...]
    max_positions: int
    max_questions: int
    usual_positions: int
    gpu_memory_share: float
    kv_cache_bytes: int | None
    enforce_eager: bool | None
    repetition: float = 1.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Reason why an utterance gets no answer; fields as in ``records.Failure``."""

    error_type: str
    message: str


@dataclass(frozen=True, slots=True)
class GreedyStep:
    """One step of vLLM's own greedy answer: the token, and log-probabilities by id."""

    token_id: int
    logprobs: dict[int, float]


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    """One utterance's prompt and audio as vLLM takes them, shared by all questions about it."""

    token_ids: list[int]
    audio: list[MultiModalFeatureSpec]
