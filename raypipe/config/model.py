"""Which model is run, by which engine, in which arithmetic."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from raypipe.config.api import ApiConfig
from raypipe.config.base import Section

BUNDLED_MODEL = "tiny-alm"
BUILT_IN_ENGINES = ("transformers", "vllm", "openai")


class VllmConfig(Section):
    """What only the vLLM engine needs to know.

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


class ModelConfig(Section):
    """The audio language model.

    Attributes:
        engine: name of the back end; ``vllm`` needs an extra to be installed, ``openai`` asks an
            OpenAI-compatible endpoint; other names are those of installed plug-ins.
        path: ``tiny-alm`` for the bundled model, a local directory, or a model hub id; for
            ``openai`` the model's name at the endpoint; for a plug-in what it makes of it.
        name: how the model is called in the tables; default: the last part of ``path``.
        revision: commit of a hub id; pin it, or two runs may hear two different models.
        dtype: arithmetic of the weights; ``float32`` is the reference.
        device: ``auto`` takes a GPU if the actor has one.
        ignore_generation_config: run although the checkpoint's generation config asks for
            processors (such as a repetition penalty) that beam scores here do not include.
        vllm: read by that engine only.
        api: the endpoint; read by ``openai`` only.
        options: what a plug-in alone needs to know; it checks them before any work starts.
    """

    engine: str = "transformers"
    path: str = BUNDLED_MODEL
    name: str | None = None
    revision: str | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    trust_remote_code: bool = False
    ignore_generation_config: bool = False
    vllm: VllmConfig = VllmConfig()
    api: ApiConfig | None = None
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _endpoint_is_known(self) -> Self:
        if (self.engine == "openai") != (self.api is not None):
            raise ValueError("engine openai and an api section belong together")
        if self.engine == "openai" and "path" not in self.model_fields_set:
            raise ValueError("engine openai needs path, the model's name at the endpoint")
        return self

    @model_validator(mode="after")
    def _plugins_have_their_own(self) -> Self:
        if self.options and not self.is_plugin:
            raise ValueError(f"options belong to plug-ins; engine {self.engine} is none")
        if self.is_plugin and "path" not in self.model_fields_set:
            raise ValueError(f"engine {self.engine} needs path; the bundled model is not for it")
        return self

    @property
    def is_plugin(self) -> bool:
        """Whether another package has to offer the engine."""
        return self.engine not in BUILT_IN_ENGINES

    def identity(self) -> list[object]:
        """What of it can change an answer, beside the model's own files and options."""
        return [
            self.model_dump(exclude={"path", "device", "vllm", "api", "options"}),
            # Memory and compilation do not change an answer; other limits do.
            self.vllm.max_model_len if self.engine == "vllm" else None,
            *([self.api.identity()] if self.api else []),
        ]

    @property
    def label(self) -> str:
        """The model's name in the tables."""
        return self.name or self.path.rstrip("/").rsplit("/", 1)[-1]
