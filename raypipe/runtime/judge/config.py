"""The config of a judge job."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from raypipe.config import ModelConfig, ResourcesConfig, RunConfig
from raypipe.config.base import ConfigSection, checked, read_yaml
from raypipe.config.decoding import DecodingConfig, PenaltiesConfig
from raypipe.config.sections import StorageConfig
from raypipe.config.values import PathText
from raypipe.explain.judge.pairs import PER_EMOTION
from raypipe.prompts import JUDGE

ROWS = 16
"""Questions answered together where ``resources.batch_size`` is ``auto``."""


class JudgedAnswers(ConfigSection):
    """A system whose reasons are judged.

    Attributes:
        name: in the tables; the judge does not see it.
        answers: explained answers: ``.parquet``, ``.jsonl`` or a folder of the former.
    """

    name: str = Field(min_length=1)
    answers: PathText


class JudgeConfig(ConfigSection):
    """Two systems' explained answers in, a judge's verdicts out.

    Attributes:
        name: what the job is called.
        first: the system whose win rate is reported.
        second: what it is compared with.
        shards: corpus of both; its transcripts are shown to the judge. Without it none are.
        audio: let the judge hear the recordings; needs ``shards`` and a model that hears.
        per_emotion: most pairs of a label.
        output: directory or ``s3://bucket/prefix`` of the tables.
        model: the judge.
        template: ``judge`` or the path of a Jinja template with the same names.
        max_new_tokens: longest answer, in tokens.
        penalties: as in a run's ``decoding``.
        seed: of the choice of pairs, of which side is asked first, and of the bootstrap.
        max_error_fraction: largest share of the pairs whose questions may fail.
    """

    name: str = "judged"
    first: JudgedAnswers
    second: JudgedAnswers
    shards: PathText | None = None
    audio: bool = False
    per_emotion: int = Field(default=PER_EMOTION, ge=1)
    output: PathText
    storage: StorageConfig = StorageConfig()
    model: ModelConfig = ModelConfig()
    template: str = JUDGE
    max_new_tokens: int = Field(default=64, ge=1)
    penalties: Literal["checkpoint", "none"] | PenaltiesConfig = "checkpoint"
    seed: int = Field(default=0, ge=0)
    resources: ResourcesConfig = ResourcesConfig()
    max_error_fraction: float = Field(default=0.05, ge=0, le=1)

    @model_validator(mode="after")
    def _two_systems(self) -> Self:
        if self.first.name == self.second.name:
            raise ValueError(f"first and second are both called {self.first.name}")
        return self

    @model_validator(mode="after")
    def _recordings_are_somewhere(self) -> Self:
        if self.audio and self.shards is None:
            raise ValueError("audio needs shards, where the recordings are")
        return self

    @model_validator(mode="after")
    def _judge_can_be_asked(self) -> Self:
        self.as_run()
        return self

    @property
    def systems(self) -> tuple[str, str]:
        """Names of both systems."""
        return self.first.name, self.second.name

    @property
    def prompt(self) -> str:
        """The prompt's name in the tables."""
        return self.template if self.template == JUDGE else Path(self.template).stem

    def as_run(self) -> RunConfig:
        """The run of one question under which the judge is loaded and asked."""
        rows = ROWS if self.resources.batch_size == "auto" else self.resources.batch_size
        return RunConfig.model_validate(
            {
                "name": self.name,
                "input": {"shards": self.shards or "."},  # a run's; nothing is read from there
                "output": self.output,
                "storage": self.storage,
                "model": self.model,
                "prompt": {"template": self.template, "text_only": not self.audio},
                "decoding": DecodingConfig(
                    beam_count=0,
                    greedy=True,
                    max_new_tokens=self.max_new_tokens,
                    penalties=self.penalties,
                ),
                "strategies": ("greedy",),
                "resources": self.resources.model_copy(update={"batch_size": rows}),
            }
        )

    def identity(self, pairs_fingerprint: str, source: str, model: str) -> str:
        """SHA-256 over everything that can change a verdict.

        Args:
            pairs_fingerprint: of the pairs, with transcripts and recordings.
            source: text of the template.
            model: fingerprint of the judge.
        """
        document = {
            "pairs": pairs_fingerprint,
            "systems": self.systems,
            "audio": self.audio,
            "prompt": [self.prompt, source],
            "model": [model, self.model.identity()],
            "decoding": self.as_run().decoding.model_dump(mode="json"),
            "seed": self.seed,
        }
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def load_judge_config(path: str | Path) -> JudgeConfig:
    """Read and check the YAML file of a judge job.

    Raises:
        ConfigError: naming the file, the field and the value, if it is unreadable or wrong.
    """
    return checked(JudgeConfig, read_yaml(path), str(path))
