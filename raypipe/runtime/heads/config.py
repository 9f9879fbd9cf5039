"""The config of a heads job."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from raypipe.config.base import ConfigSection, checked, read_yaml
from raypipe.config.labels import LabelTables
from raypipe.config.sections import MetricsConfig, StorageConfig
from raypipe.config.values import PathText
from raypipe.ssl.folds import FEWEST_FOLDS, SplitNames
from raypipe.ssl.smoothing import SmoothingForm
from raypipe.ssl.training import HeadTraining, Schedule

STRATEGY = "head"
"""Strategy of a head's predictions in the tables."""


class HeadConfig(ConfigSection):
    """A head and how it is trained; see :class:`raypipe.ssl.training.HeadTraining`.

    Attributes:
        name: how the head is called in the tables, where it stands as the prompt.
        hidden: width of the projection; None for a linear map of the means.
        statistics: ``mean``, SUPERB's, or ``mean+std``, which needs features with ``std``.
        class_balanced: weigh labels by their effective numbers.
        learning_rate: of AdamW, after the warm-up.
        weight_decay: of AdamW.
        batch_size: clips in a step.
        epochs: passes over the training set.
        warmup_steps: over which the rate grows from 0.
        schedule: of the rate after that.
        clip_norm: largest norm of a step's gradient.
        smoothing: epsilon of the label smoothing.
        smoothing_form: ``emo_superb``: y(1-e) + (1-y)e/(C-1); ``szegedy``: y(1-e) + e/C.
        best_epoch: keep the epoch with the lowest dev loss; else the last one.
    """

    name: str = "superb"
    hidden: int | None = Field(default=256, ge=1)
    statistics: Literal["mean", "mean+std"] = "mean"
    class_balanced: bool = True
    learning_rate: float = Field(default=1e-4, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    batch_size: int = Field(default=32, ge=1)
    epochs: int = Field(default=25, ge=1)
    warmup_steps: int = Field(default=1600, ge=0)
    schedule: Schedule = "cosine"
    clip_norm: float = Field(default=1.0, gt=0)
    smoothing: float = Field(default=0.05, ge=0, lt=1)
    smoothing_form: SmoothingForm = "emo_superb"
    best_epoch: bool = True

    def settings(self) -> HeadTraining:
        """The same as the training takes it."""
        return HeadTraining(**self.model_dump(exclude={"name", "statistics"}))


class SplitsConfig(ConfigSection):
    """What the corpus calls its splits; upper and lower case are the same.

    Attributes:
        train: to learn from.
        dev: that decide the epoch.
        test: to be measured on.
    """

    train: tuple[str, ...] = SplitNames().train
    dev: tuple[str, ...] = SplitNames().dev
    test: tuple[str, ...] = SplitNames().test

    def names(self) -> SplitNames:
        """The same as folds take it."""
        return SplitNames(self.train, self.dev, self.test)


class HeadsConfig(ConfigSection):
    """Features in, heads and the tables of their predictions out.

    Attributes:
        name: what the job is called in its report.
        features: directory or ``s3://bucket/prefix`` that a features job wrote.
        output: of the tables.
        encoders: names of encoders; empty for all that the features were made with.
        heads: each is trained on every encoder's features.
        learning_rates: every head under each of them, in place of its own.
        seeds: every head once with each; the tables hold ``head[seed=0]``, … where there are
            several.
        folds: ``splits`` for the corpus's own; a number for so many speaker-independent folds;
            ``auto`` for its own where it has all three parts, else 5.
        fold_seed: of the folds.
        beside: a finished run over the same shards, whose predictions of the heads' test clips
            stand in the same tables; None for none.
        labels: label tables: every head is trained from the corpus's own labels and once more
            from each table, which takes the place of train and dev labels. Test labels stay the
            corpus's; heads are measured against those of a table ``beside``, too, and against
            those of the table ``instead`` in their place.
        splits: names of the splits.
        cpus_per_head: CPUs that each training holds.
    """

    name: str = "heads"
    features: PathText
    output: PathText
    storage: StorageConfig = StorageConfig()
    encoders: tuple[str, ...] = ()
    heads: tuple[HeadConfig, ...] = (HeadConfig(),)
    learning_rates: tuple[float, ...] = ()
    seeds: tuple[int, ...] = (0,)
    folds: Literal["auto", "splits"] | int = "auto"
    fold_seed: int = 0
    beside: str | None = None
    labels: LabelTables = ()
    splits: SplitsConfig = SplitsConfig()
    metrics: MetricsConfig = MetricsConfig()
    cpus_per_head: float = Field(default=1.0, gt=0)

    @field_validator("folds")
    @classmethod
    def _enough_folds(
        cls, folds: Literal["auto", "splits"] | int
    ) -> Literal["auto", "splits"] | int:
        if isinstance(folds, int) and folds < FEWEST_FOLDS:
            raise ValueError(f"at least {FEWEST_FOLDS}")
        return folds

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        names = [head.name for head in self.grid()]
        if not names or len(set(names)) != len(names):
            raise ValueError("name at least one head, and give each a name of its own")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ValueError("name at least one seed, and each once")
        return self

    def grid(self) -> tuple[HeadConfig, ...]:
        """Every head under every learning rate."""
        if not self.learning_rates:
            return self.heads
        return tuple(
            head.model_copy(update={"learning_rate": rate, "name": f"{head.name}-lr{rate:g}"})
            for head in self.heads
            for rate in self.learning_rates
        )

    def strategies(self) -> tuple[str, ...]:
        """Strategy of every seed's predictions, in the seeds' order."""
        if len(self.seeds) == 1:
            return (STRATEGY,)
        return tuple(f"{STRATEGY}[seed={seed}]" for seed in self.seeds)

    def identity(
        self,
        features: Sequence[str],
        beside: str | None = None,
        labels: Sequence[tuple[str, str, str]] = (),
    ) -> str:
        """SHA-256 over everything that can change ``predictions/`` and ``heads/``.

        Args:
            features: fingerprints of the encoders' features.
            beside: fingerprint of the run whose predictions stand beside those of heads.
            labels: name, place and fingerprint of every label table.
        """
        document = {
            "features": list(features),
            "tables": ["", *([] if beside is None else [beside])],
            **({"labels": list(labels)} if labels else {}),
            "heads": [head.model_dump(mode="json") for head in self.grid()],
            "seeds": self.seeds,
            "folds": [self.folds, self.fold_seed, self.splits.model_dump(mode="json")],
        }
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def load_heads_config(path: str | Path) -> HeadsConfig:
    """Read and check the YAML file of a heads job.

    Raises:
        ConfigError: naming the file, the field and the value, if it is unreadable or wrong.
    """
    return checked(HeadsConfig, read_yaml(path), str(path))
