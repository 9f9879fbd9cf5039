"""The ``model`` section of a config: model, engine, arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from raypipe.config.api import ApiConfig
from raypipe.config.base import ConfigSection
from raypipe.config.engine_options import PluginOptions
from raypipe.config.values import EndpointText, PathText
from raypipe.installation import BUNDLED_CHECKPOINTS, bundled_checkpoint

BUNDLED_MODEL = "tiny-alm"

ENGINE_SECTIONS: Mapping[str, str | None] = {
    "transformers": None,
    "vllm": "vllm",
    "openai": "api",
}
"""Engines of raypipe's own, each with the section of :class:`ModelConfig` that holds its options.

Engines of other packages have theirs in ``options``.
"""


def local_path(path: str) -> str:
    """Folder of a bundled model for its name; any other path or hub id as it is given.

    Every process asks for itself: the package may lie elsewhere on another machine.
    """
    return str(bundled_checkpoint(path)) if path in BUNDLED_CHECKPOINTS else path


class VllmConfig(PluginOptions):
    """Options of the vLLM engine.

    Attributes:
        gpu_memory_share: share of its GPU's memory that an actor takes for weights, activations
            and cache; two actors on one GPU need less than half each.
        kv_cache_bytes: of the key-value cache; None takes what is left of the share on a GPU, and
            on a CPU what the utterances in progress need, at most a quarter of the free memory.
        max_model_len: tokens of the longest prompt with its answer, a longer one becomes an error
            row; None for what the model was made for. Less saves memory.
        enforce_eager: do without compilation and CUDA graphs; None does so on a CPU only.
    """

    gpu_memory_share: float = Field(default=0.9, gt=0, le=1)
    kv_cache_bytes: int | None = Field(default=None, ge=1 << 20)
    max_model_len: int | None = Field(default=None, ge=1)
    enforce_eager: bool | None = None

    def identity(self) -> dict[str, object]:
        """The settings that can change an answer: memory and compilation do not."""
        return self.model_dump(mode="json", include={"max_model_len"})


class ModelConfig(ConfigSection):
    """The audio language model.

    Attributes:
        engine: name of the back end; ``vllm`` needs an extra to be installed, ``openai`` asks an
            OpenAI-compatible endpoint; other names are those of installed plug-ins.
        path: ``tiny-alm`` for the bundled model, a local directory, a model hub id, or an
            ``s3://bucket/prefix`` that is fetched once on every machine; for ``openai`` the model's
            name at the endpoint; for a plug-in what it makes of it.
        adapter: folder or ``s3://`` URI of a LoRA adapter as peft and ``raypipe finetune`` write
            it, merged into the weights when they are loaded; for ``transformers`` and ``vllm``.
        name: how the model is called in the tables; default: the last part of ``path``, with that
            of ``adapter`` behind a ``+``.
        endpoint: URL of the S3-compatible server of a ``path`` in object storage; None for the
            environment's or the default one.
        revision: commit of a hub id; pin it, or two runs may use two different models.
        dtype: arithmetic of the weights; ``float32`` is the reference; ``auto`` for the half
            precision that the checkpoint is in on a GPU, and ``float32`` on CPUs.
        device: ``auto`` takes a GPU if the actor has one.
        ignore_generation_config: take no penalty from the checkpoint's generation config, and run
            although it asks for processors that the search here does not apply.
        vllm: read by that engine only.
        api: the endpoint; read by ``openai`` only.
        options: of an engine that another package offers, which checks them before any work
            starts.
    """

    engine: str = "transformers"
    path: PathText = Field(default=BUNDLED_MODEL, min_length=1)
    adapter: PathText | None = Field(default=None, min_length=1)
    name: str | None = None
    endpoint: EndpointText | None = None
    revision: str | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    trust_remote_code: bool = False
    ignore_generation_config: bool = False
    vllm: VllmConfig = VllmConfig()
    api: ApiConfig | None = None
    options: dict[str, object] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _endpoint_is_known(self) -> Self:
        if (self.engine == "openai") != (self.api is not None):
            raise ValueError("engine openai and an api section belong together")
        if self.engine == "openai" and "path" not in self.model_fields_set:
            raise ValueError("engine openai needs path, the model's name at the endpoint")
        return self

    @model_validator(mode="after")
    def _plugins_have_their_own(self) -> Self:
        is_plugin = self.engine not in ENGINE_SECTIONS
        if self.options and not is_plugin:
            raise ValueError(f"options belong to plug-ins; engine {self.engine} is none")
        if is_plugin and "path" not in self.model_fields_set:
            raise ValueError(f"engine {self.engine} needs path; the bundled model is not for it")
        return self

    @property
    def section(self) -> PluginOptions | None:
        """The section with the options of an engine of raypipe's own; None if it has none."""
        name = ENGINE_SECTIONS.get(self.engine)
        section: PluginOptions | None = None if name is None else getattr(self, name)
        return section

    @property
    def engine_options(self) -> dict[str, object]:
        """Keys and values of the options of the engine."""
        return self.options if self.section is None else self.section.model_dump()

    def identity(self) -> list[object]:
        """The settings that can change an answer, beside the files and a plug-in's options."""
        sections = {name for name in ENGINE_SECTIONS.values() if name is not None}
        return [
            # An adapter is known by its content, as the model's files are.
            self.model_dump(
                exclude={"path", "adapter", "endpoint", "device", "options", *sections}
            ),
            None if self.section is None else self.section.identity(),
        ]

    @property
    def label(self) -> str:
        """The model's name in the tables."""
        paths = [self.path] if self.adapter is None else [self.path, self.adapter]
        return self.name or "+".join(path.rstrip("/").rsplit("/", 1)[-1] for path in paths)
