"""The config of a classify job."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from raypipe.config import ModelConfig, ResourcesConfig, RunConfig
from raypipe.config.base import ConfigSection, checked, read_yaml
from raypipe.config.decoding import DecodingConfig
from raypipe.config.sections import StorageConfig
from raypipe.config.values import PathText
from raypipe.metrics.bootstrap import REPLICATES
from raypipe.votes import AnnotatorLabels

ROWS = 16
"""Requests answered together where ``resources.batch_size`` is ``auto``."""


class AnswersOf(ConfigSection):
    """Answers of a finished run.

    Attributes:
        run: its directory or ``s3://`` URI.
        model: its name in the run's tables; None for the only one.
        prompt: its name in the run's tables; None for the only one.
        strategy: take the labels that this strategy predicts, from ``predictions/``, as for heads;
            None to read what the model wrote.
        steps: whether the prompt asked for steps, so that the whole answer is the reason; None for
            what the built-in prompts' names say.
    """

    run: PathText
    model: str | None = None
    prompt: str | None = None
    strategy: str | None = None
    steps: bool | None = None


class SystemConfig(ConfigSection):
    """A row of the table.

    Attributes:
        name: of the row.
        open: its answers to an open form.
        closed: its answers to a closed form, or predictions over the label set.
    """

    name: str = Field(min_length=1)
    open: AnswersOf | None = None
    closed: AnswersOf | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.open is None and self.closed is None:
            raise ValueError("give open, closed, or both")
        return self


class ClassifyConfig(ConfigSection):
    """Answers of finished runs in, the emotion that each names and their scores out.

    Attributes:
        name: what the job is called.
        systems: rows of the table.
        output: directory or ``s3://bucket/prefix`` of the tables.
        reader: a model that reads text, for what the rules cannot read; None for rules alone.
        phrases_per_request: most words that it groups in one request.
        attempts: most times that it is asked about one answer, or one word.
        max_new_tokens: longest reply about an answer, in tokens.
        sample: number of answers to draw for a person to label.
        against: the system that others are compared with; None for the best other one.
        annotator_labels: which of the annotators' labels scoring ``any`` takes for right:
            ``primary``, or ``primary+secondary``.
        by_speaker: whether the bootstrap draws speakers, not utterances.
        replicates: of the bootstrap.
        seed: of the bootstrap and of the sample.
        resources: of the reader.
    """

    name: str = "classified"
    systems: tuple[SystemConfig, ...] = Field(min_length=1)
    output: PathText
    storage: StorageConfig = StorageConfig()
    reader: ModelConfig | None = None
    phrases_per_request: int = Field(default=40, ge=1)
    attempts: int = Field(default=3, ge=1)
    max_new_tokens: int = Field(default=64, ge=1)
    sample: int = Field(default=50, ge=0)
    against: str | None = None
    annotator_labels: AnnotatorLabels = "primary"
    by_speaker: bool = True
    replicates: int = Field(default=REPLICATES, ge=100, le=100_000)
    seed: int = Field(default=0, ge=0)
    resources: ResourcesConfig = ResourcesConfig()

    @field_validator("systems")
    @classmethod
    def _named_once(cls, systems: tuple[SystemConfig, ...]) -> tuple[SystemConfig, ...]:
        names = [system.name for system in systems]
        if len(set(names)) != len(names):
            raise ValueError("name each system once")
        return systems

    @model_validator(mode="after")
    def _against_is_a_system(self) -> Self:
        if self.against is not None and self.against not in {item.name for item in self.systems}:
            raise ValueError(f"against: no system is called {self.against!r}")
        return self

    def as_run(self) -> RunConfig:
        """The run of one text-only question under which the reader is loaded and asked."""
        rows = ROWS if self.resources.batch_size == "auto" else self.resources.batch_size
        longest = max(self.max_new_tokens, 24 * self.phrases_per_request)
        return RunConfig.model_validate(
            {
                "name": self.name,
                "input": {"shards": "."},  # a run's; nothing is read from there
                "output": self.output,
                "storage": self.storage,
                "model": self.reader or ModelConfig(),
                "prompt": {"template": "relabel", "text_only": True},
                "decoding": DecodingConfig(beam_count=0, greedy=True, max_new_tokens=longest),
                "strategies": ("greedy",),
                "resources": self.resources.model_copy(update={"batch_size": rows}),
            }
        )

    def identity(self, runs: Mapping[str, str], templates: str, reader: str | None) -> str:
        """SHA-256 over everything that can change the tables, but for a person's corrections.

        Args:
            runs: fingerprint of every run that is read, by its place.
            templates: texts of the reader's prompts.
            reader: fingerprint of the reader; None without one.
        """
        document = {
            "runs": dict(sorted(runs.items())),
            "templates": templates,
            "reader": [reader, None if self.reader is None else self.reader.identity()],
            "settings": self.model_dump(
                mode="json", exclude={"name", "output", "storage", "reader", "resources"}
            ),
        }
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def load_classify_config(path: str | Path) -> ClassifyConfig:
    """Read and check the YAML file of a classify job.

    Raises:
        ConfigError: naming the file, the field and the value, if it is unreadable or wrong.
    """
    return checked(ClassifyConfig, read_yaml(path), str(path))
