"""The config of an export."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from raypipe.config.base import ConfigSection, checked, read_yaml
from raypipe.config.sections import StorageConfig
from raypipe.config.values import PathText
from raypipe.errors import ConfigError
from raypipe.explain.gold import GoldRule
from raypipe.explain.splits import check_training_splits
from raypipe.labels import LabelSet, label_set

Instruction = Literal["open", "closed", "mixed"]
"""What the user's turn asks: the open form, the closed form, or each for half of the lines."""


class CorpusToExport(ConfigSection):
    """One corpus of an export.

    Attributes:
        shards: directory or ``s3://bucket/prefix`` that ingest wrote.
        rationales: output of ``raypipe rationale`` over the same shards.
        splits: that are trained on; ``unsplit`` for utterances of a corpus without splits.
        map: labels of this corpus by what they become; beside the export's own ``map``.
        cap: most training lines of this corpus, drawn by seed; None for all.
    """

    shards: PathText
    rationales: PathText | None = None
    splits: tuple[str, ...]
    map: dict[str, str] = Field(default_factory=dict)
    cap: int | None = Field(default=None, ge=1)


class DevelopmentConfig(ConfigSection):
    """What early stopping is decided on; exactly one of ``speakers`` and ``splits``.

    Attributes:
        speakers: share of each corpus's speakers that is held out of training, drawn by seed.
        splits: names of splits; no rationales are made of these, so their lines have no reason.
        cap: most lines, drawn by seed; None for all.
    """

    speakers: float | None = Field(default=None, gt=0, lt=1)
    splits: tuple[str, ...] | None = None
    cap: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.speakers is None) == (self.splits is None):
            raise ValueError("give speakers (a share of them) or splits (names), one of them")
        tests = [name for name in self.splits or () if re.search("test", name, re.IGNORECASE)]
        if tests:
            raise ValueError(f"splits: {', '.join(tests)}: early stopping may not see a test split")
        return self


class ExportConfig(ConfigSection):
    """Corpora and their rationales in, a folder of training files out.

    Attributes:
        name: of the data set, also for LLaMA-Factory.
        output: a local folder that does not exist yet.
        labels: that lines are about.
        map: labels of corpora by what they become; those of ``labels`` stay what they are, and
            what is in neither is left out.
        gold: ``consensus`` that a corpus publishes, else the ``plurality``; or the plurality.
        max_samples: most training lines in all, drawn by seed; None for all (the paper: 15,000).
        balance: ``downsample`` every label to the rarest one's number of lines.
        development: what early stopping is decided on; None for no such file.
        instruction: what the user's turn asks.
        shuffled_options: lettered options in an order of each utterance's own, by seed.
        reasons: whether targets end with a reason.
        without_rationale: of an utterance without one, ``drop`` the line or ``keep`` it without a
            reason.
        audio: ``files`` beside the lines, or ``references`` into the shards.
        seed: of everything that is drawn.
    """

    name: str = Field(default="explained", pattern=r"^[A-Za-z0-9_.-]+$")
    corpora: tuple[CorpusToExport, ...] = Field(min_length=1)
    output: PathText
    storage: StorageConfig = StorageConfig()
    labels: str | tuple[str, ...] = "msp-podcast-8"
    map: dict[str, str] = Field(default_factory=dict)
    gold: GoldRule = "consensus"
    max_samples: int | None = Field(default=15_000, ge=1)
    balance: Literal["none", "downsample"] = "none"
    development: DevelopmentConfig | None = None
    instruction: Instruction = "open"
    shuffled_options: bool = False
    reasons: bool = True
    without_rationale: Literal["drop", "keep"] = "drop"
    audio: Literal["files", "references"] = "files"
    seed: int = 0

    @field_validator("output")
    @classmethod
    def _local(cls, output: str) -> str:
        if output.startswith("s3://"):
            raise ValueError("a folder appears at once on a local disk only; copy it from there")
        return output

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        try:
            labels = self.label_set
            for corpus in self.corpora:
                check_training_splits(corpus.splits, "training files")
        except ConfigError as error:
            raise ValueError(str(error)) from error
        for corpus in self.corpora:
            unknown = {*self.map_of(corpus).values()} - {*labels.names}
            if unknown:
                raise ValueError(f"map: {', '.join(sorted(unknown))} is none of the labels")
            held_out = {*((self.development and self.development.splits) or ())}
            both = held_out & {*corpus.splits}
            if both:
                raise ValueError(f"splits {', '.join(sorted(both))} are trained on, too")
            if self.reasons and corpus.rationales is None and self.without_rationale == "drop":
                raise ValueError(
                    f"corpus {corpus.shards} has no rationales; give some, or say reasons: false"
                )
        return self

    @property
    def label_set(self) -> LabelSet:
        """Labels that lines are about."""
        return label_set(self.labels)

    def map_of(self, corpus: CorpusToExport) -> Mapping[str, str]:
        """What every label of a corpus becomes; others are left out."""
        return {**{name: name for name in self.label_set.names}, **self.map, **corpus.map}


def load_export_config(path: str | Path) -> ExportConfig:
    """Read and check the YAML file of an export.

    Raises:
        ConfigError: naming the file, the field and the value, if it is unreadable or wrong.
    """
    return checked(ExportConfig, read_yaml(path), str(path))
