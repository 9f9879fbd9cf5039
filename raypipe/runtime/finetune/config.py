"""The config of a finetune job."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from raypipe.config import ModelConfig
from raypipe.config.base import ConfigSection, checked, read_yaml
from raypipe.config.values import PathText
from raypipe.finetune.settings import PRESETS, FinetuneTraining, LoraSettings, PresetName


class ExportInput(ConfigSection):
    """Where the training examples are.

    Attributes:
        export: folder that ``raypipe export`` wrote, which every node sees.
    """

    export: PathText


class FinetuneConfig(ConfigSection):
    """Training examples in, an adapter out.

    Attributes:
        name: what the job is called in its report.
        input: the examples.
        output: folder of the adapter, which every node sees.
        model: that is adapted, loaded by transformers; its ``dtype`` and ``device`` are not read:
            weights are bfloat16 on a GPU and float32 on a CPU.
        preset: named settings that ``lora`` and ``training`` change one by one.
        lora: which matrices get updates.
        training: how they are learnt.
        workers: of the training, which share the examples of each step; several GPUs or nodes are
            as many workers.
        gpus_per_worker: ``auto`` takes one where the cluster has any.
        cpus_per_worker: that each worker holds; on a CPU torch uses as many threads.
        max_error_fraction: largest share of the examples that may be left out because they cannot
            be heard or written.
        max_failures: lost workers or nodes after which the job gives up; a training goes on from
            its last checkpoint.
    """

    name: str = "finetuned"
    input: ExportInput
    output: PathText
    model: ModelConfig = ModelConfig()
    preset: PresetName = "paper"
    lora: LoraSettings
    training: FinetuneTraining
    workers: int = Field(default=1, ge=1)
    gpus_per_worker: Literal["auto"] | int = "auto"
    cpus_per_worker: int = Field(default=2, ge=1)
    max_error_fraction: float = Field(default=0.05, ge=0, le=1)
    max_failures: int = Field(default=2, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, document: object) -> object:
        """The document with the preset's settings wherever it gives none of its own."""
        if not isinstance(document, dict):
            return document
        name = document.get("preset", cls.model_fields["preset"].default)
        preset = PRESETS.get(name) if isinstance(name, str) else None  # type: ignore[call-overload]
        preset = preset or PRESETS["paper"]  # a wrong name is refused by its field
        filled = dict(document)
        for section, settings in (("lora", preset.lora), ("training", preset.training)):
            given = document.get(section, {})
            if isinstance(given, dict):
                filled[section] = {**settings.model_dump(), **given}
        return filled

    @field_validator("gpus_per_worker")
    @classmethod
    def _a_gpu_or_none(cls, gpus: Literal["auto"] | int) -> Literal["auto"] | int:
        if gpus not in ("auto", 0, 1):
            raise ValueError("a worker trains on one GPU, or on none; say workers for several")
        return gpus

    @model_validator(mode="after")
    def _can_be_trained(self) -> Self:
        if self.model.engine != "transformers":
            raise ValueError("model.engine: fine-tuning is done with transformers")
        if self.model.adapter is not None:
            raise ValueError("model.adapter: a model is adapted once; train from the base model")
        for place in (self.input.export, self.output):
            if "://" in place:
                raise ValueError(f"{place}: give folders that every node sees")
        return self

    def identity(self, model: str, examples: str) -> str:
        """SHA-256 over everything that can change the adapter.

        Args:
            model: fingerprint of the model.
            examples: fingerprint of the examples.
        """
        document = {
            "model": [model, self.model.identity()],
            "examples": examples,
            "lora": self.lora.model_dump(mode="json"),
            # Checkpoints lie where they do; the rest decides the numbers.
            "training": self.training.model_dump(mode="json", exclude={"checkpoint_steps"}),
            "workers": self.workers,
            "max_error_fraction": self.max_error_fraction,
        }
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def load_finetune_config(path: str | Path) -> FinetuneConfig:
    """Read and check the YAML file of a finetune job.

    Raises:
        ConfigError: naming the file, the field and the value, if it is unreadable or wrong.
    """
    return checked(FinetuneConfig, read_yaml(path), str(path))
