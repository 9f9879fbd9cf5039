"""The transformers engine as an object: nothing of torch or transformers is imported before use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from raypipe.engines.checkpoint_faults import checkpoint_faults
from raypipe.engines.engine import EnginePlugin, EngineSettings, ModelSettings
from raypipe.engines.generation_config import check_at_the_door
from raypipe.engines.hub_weights import weights_folder
from raypipe.engines.memory import gpu_dtype, memory_need
from raypipe.engines.plain_turn import refuse_plain_turn
from raypipe.protocols import Capabilities
from raypipe.records import ClipPlace

if TYPE_CHECKING:
    from raypipe.engines.frontend import TransformersFrontend
    from raypipe.engines.transformers import TransformersEngine

CAPABILITIES = Capabilities(
    beams=True,
    emotion_logits=True,
    token_logprobs=True,
    more=frozenset({"seeded_samples", "text_scores"}),
)


def _frontend(model: ModelSettings) -> TransformersFrontend:
    from raypipe.engines.frontend import TransformersFrontend

    return TransformersFrontend(model.path, model.revision, model.trust_remote_code)


def _refuse_clip_place(model: ModelSettings, place: ClipPlace) -> None:
    _frontend(model).check_clip_place(place)


def _engine(settings: EngineSettings) -> TransformersEngine:
    from raypipe.engines.transformers import TransformersEngine

    model = settings.model
    return TransformersEngine(
        model.path,
        revision=model.revision,
        emotion_tokens=settings.emotion_tokens,
        batch_size=settings.batch_size,
        device=model.device,
        dtype=model.dtype,
        threads=settings.threads,
        trust_remote_code=model.trust_remote_code,
        ignore_generation_config=model.ignore_generation_config,
        penalties=model.penalties,
        cuda_graphs=settings.cuda_graphs,
        fused=settings.fused,
        adapter=model.adapter,
    )


def _faults(model: ModelSettings) -> Iterable[str]:
    return checkpoint_faults(model, "transformers")


def _facts(model: ModelSettings) -> Mapping[str, str]:
    from raypipe.engines.model_facts import checkpoint_facts

    return checkpoint_facts(model, "transformers")


PLUGIN = EnginePlugin(
    frontend=_frontend,
    engine=_engine,
    capabilities=CAPABILITIES,
    grammars=("regex", "json_schema"),
    penalises=True,
    gpu_dtype=gpu_dtype,
    memory_need=memory_need,
    bring_weights=lambda model: weights_folder(model.path, model.revision),
    refuse_plain_turn=partial(refuse_plain_turn, "transformers"),
    refuse_clip_place=_refuse_clip_place,
    faults=_faults,
    facts=_facts,
    also_refuse=check_at_the_door,
    adapts=True,
    packages=("torch", "transformers"),
)
