"""The config of a features job."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from raypipe.config.base import ConfigSection, checked, read_yaml
from raypipe.config.model import BUNDLED_MODEL, local_path
from raypipe.config.sections import InputConfig, StorageConfig
from raypipe.config.values import PathText
from raypipe.engines.fingerprint import files_digest
from raypipe.errors import ConfigError
from raypipe.ssl.encoder import Arithmetic, EncoderSource, Normalisation, NormalisationName


class EncoderConfig(ConfigSection):
    """A frozen encoder.

    Attributes:
        path: ``tiny-alm`` for the bundled model's, a local directory, a model hub id, or
            ``fbank-s3prl`` and ``fbank-raw`` for filter banks.
        name: how the encoder is called in the tables; default: the last part of ``path``.
        revision: commit of a hub id; pin it, or two runs may use two different models.
        dtype: arithmetic of the weights; means are float32 whatever it is.
        normalisation: of the waveform, see :class:`raypipe.ssl.Normalisation`.
        mean: of the samples, for the normalisation ``fixed``.
        std: of the samples, for the normalisation ``fixed``.
    """

    path: PathText = BUNDLED_MODEL
    name: str | None = None
    revision: str | None = None
    dtype: Arithmetic = "float32"
    normalisation: NormalisationName = "checkpoint"
    mean: float | None = None
    std: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _normalisation_can_be(self) -> Self:
        try:
            self._normalisation()
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return self

    def _normalisation(self) -> Normalisation:
        return Normalisation(self.normalisation, self.mean, self.std)

    @property
    def label(self) -> str:
        """The encoder's name in the tables."""
        return self.name or Path(self.path).name

    def source(self, device: str, *, with_std: bool) -> EncoderSource:
        """What is loaded on a device of torch."""
        return EncoderSource(
            path=local_path(self.path),
            revision=self.revision,
            dtype=self.dtype,
            device=device,
            normalisation=self._normalisation(),
            with_std=with_std,
        )

    def identity(self) -> dict[str, object]:
        """Everything about it that can change a feature: digests, not places."""
        settings = self.model_dump(mode="json", exclude={"path", "name"})
        return {**settings, "files": files_digest(local_path(self.path), self.revision)}


class FeatureResources(ConfigSection):
    """How a features job uses a machine or a cluster; none of it changes a feature.

    Attributes:
        actors: number of encoders; ``auto`` is one on every GPU, or one on every node without.
        gpus_per_actor: share of a GPU that each holds; ``auto`` is 1 where there are any.
        cpus_per_actor: CPUs that each holds.
        readers: processes that read and decode.
        batch_clips: most clips that are encoded together.
        batch_s: most seconds of audio in a batch, padding included.
    """

    actors: int | Literal["auto"] = Field(default="auto")
    gpus_per_actor: float | Literal["auto"] = Field(default="auto")
    cpus_per_actor: float = Field(default=1.0, gt=0)
    readers: int = Field(default=1, ge=1)
    batch_clips: int = Field(default=16, ge=1)
    batch_s: float = Field(default=160.0, gt=0)


class FeaturesConfig(ConfigSection):
    """Shards in, features out.

    Attributes:
        name: what the job is called in its record.
        output: directory or ``s3://bucket/prefix`` of the tables.
        encoders: each gets a folder of its own; further ones can be added later.
        cut_s: only the first seconds of a clip are heard (EMO-SUPERB: 10); None for all.
        std: keep the standard deviation over time beside the mean.
        max_channels: more channels become an error row; fewer are averaged to mono.
    """

    name: str = "features"
    input: InputConfig
    output: PathText
    storage: StorageConfig = StorageConfig()
    encoders: tuple[EncoderConfig, ...] = (EncoderConfig(),)
    cut_s: float | None = Field(default=10.0, gt=0)
    std: bool = False
    max_channels: int = Field(default=2, ge=1, le=8)
    resources: FeatureResources = FeatureResources()

    @field_validator("encoders")
    @classmethod
    def _named_once(cls, encoders: tuple[EncoderConfig, ...]) -> tuple[EncoderConfig, ...]:
        names = [encoder.label for encoder in encoders]
        if not names or len(set(names)) != len(names):
            raise ValueError("name at least one encoder, and give each a name of its own")
        return encoders

    @property
    def heard(self) -> str:
        """How much of a clip is heard, in a word: the ``prompt`` of the tables."""
        return "whole" if self.cut_s is None else f"{self.cut_s:g}s"

    def identity(self, input_fingerprint: str) -> str:
        """SHA-256 over what changes the features of every encoder.

        Args:
            input_fingerprint: of the shards that are read.
        """
        return _digest(
            {
                "input": [input_fingerprint, self.input.limit],
                "cut_s": self.cut_s,
                "std": self.std,
                "max_channels": self.max_channels,
            }
        )

    def encoder_identity(self, encoder: EncoderConfig, input_fingerprint: str) -> str:
        """SHA-256 over everything that can change an encoder's features."""
        return _digest([self.identity(input_fingerprint), encoder.identity()])


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def load_features_config(path: str | Path) -> FeaturesConfig:
    """Read and check the YAML file of a features job.

    Raises:
        ConfigError: naming the file, the field and the value, if it is unreadable or wrong.
    """
    return checked(FeaturesConfig, read_yaml(path), str(path))
