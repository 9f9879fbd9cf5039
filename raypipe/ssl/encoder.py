"""The object that an encoder family is, and what a loaded encoder does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from raypipe.errors import ConfigError
from raypipe.records import FloatArray, LayerStatistics

Arithmetic = Literal["float32", "float16", "bfloat16"]
"""Arithmetic of an encoder's weights; means over time are float32 whatever it is."""

NormalisationName = Literal["checkpoint", "none", "utterance", "fixed"]
"""How a waveform is normalised before it is encoded."""


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Normalisation of a waveform before it is encoded.

    Attributes:
        kind: ``checkpoint``: as the checkpoint's preprocessor says; ``none``: full scale at 1, as
            decoded; ``utterance``: mean 0 and variance 1 over the clip; ``fixed``: by ``mean`` and
            ``std``, as EMO-SUPERB does with those of its training fold.
        mean: of samples, for ``fixed``; full scale is 1.
        std: of samples, for ``fixed``.

    Raises:
        ConfigError: for ``fixed`` without both numbers, or numbers with another kind.
    """

    kind: NormalisationName = "checkpoint"
    mean: float | None = None
    std: float | None = None

    def __post_init__(self) -> None:
        given = self.mean is not None and self.std is not None and self.std > 0
        if (self.kind == "fixed") != given or (self.mean is None) != (self.std is None):
            raise ConfigError(
                "normalisation fixed needs a mean and a std above 0; no other takes them"
            )

    def resolved(self, checkpoint_normalises: bool) -> Normalisation:
        """The same without ``checkpoint``.

        Args:
            checkpoint_normalises: whether the checkpoint's preprocessor normalises every clip.
        """
        if self.kind != "checkpoint":
            return self
        return Normalisation("utterance" if checkpoint_normalises else "none")

    def apply(self, samples: FloatArray) -> FloatArray:
        """The normalised waveform; ``utterance`` is (x - mean) / sqrt(variance + 1e-7).

        Args:
            samples: one clip, shape ``(samples,)``, float32.
        """
        if self.kind == "utterance":
            return np.asarray(
                (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7), np.float32
            )
        if self.kind == "fixed":
            assert self.mean is not None
            assert self.std is not None
            return np.asarray((samples - self.mean) / self.std, np.float32)
        return samples


@dataclass(frozen=True, slots=True)
class EncoderSource:
    """What is loaded, and how.

    Attributes:
        path: folder of a checkpoint, hub id, or the name of an encoder without a checkpoint.
        revision: commit of a hub id.
        dtype: arithmetic of the weights.
        device: of torch, such as ``cpu`` or ``cuda``.
        normalisation: of waveforms.
        with_std: the standard deviation over time beside the mean.
    """

    path: str
    revision: str | None = None
    dtype: Arithmetic = "float32"
    device: str = "cpu"
    normalisation: Normalisation = field(default_factory=Normalisation)
    with_std: bool = False


class Encoder(Protocol):
    """A loaded encoder."""

    @property
    def sampling_rate(self) -> int:
        """Of the waveforms that it takes, in Hz."""
        ...

    @property
    def stride(self) -> int:
        """Samples from one frame to the next."""
        ...

    @property
    def pads(self) -> bool:
        """Whether clips of different lengths may go together without changing each other."""
        ...

    @property
    def shortest_samples(self) -> int:
        """Samples of the shortest clip that gives a frame."""
        ...

    @property
    def longest_samples(self) -> int | None:
        """Samples of the longest clip; None without a limit."""
        ...

    @property
    def normalisation(self) -> str:
        """What is done to the waveform before, in words."""
        ...

    def encode(self, clips: Sequence[FloatArray]) -> list[LayerStatistics]:
        """Statistics of every clip, in order.

        Args:
            clips: mono waveforms at ``sampling_rate``, shape ``(samples,)``, float32, full scale
                at 1, within the limits; of one length where the encoder does not pad.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderFamily:
    """Encoders of one architecture.

    Attributes:
        name: what people call it.
        rank: place in lists.
        model_types: ``model_type`` of its checkpoints' ``config.json``.
        built_in: names of encoders that need no checkpoint.
        load: makes an encoder.
        layers: what the layers of its features are, in words.
        batches: which clips go together, in words.
        normalisation: of waveforms by default, in words.
        sampling_rate: of the waveforms that it takes, in Hz.
        examples: hub ids of published checkpoints.
        check: refuses with a ConfigError what can be seen to be wrong before anything is loaded;
            runs where a job is planned.

    Raises:
        ConfigError: without ``model_types`` and ``built_in`` nothing could name it.
    """

    name: str
    rank: int
    load: Callable[[EncoderSource], Encoder]
    layers: str
    batches: str
    normalisation: str
    model_types: tuple[str, ...] = ()
    built_in: tuple[str, ...] = ()
    sampling_rate: int = 16_000
    examples: tuple[str, ...] = ()
    check: Callable[[EncoderSource], object] | None = None

    def __post_init__(self) -> None:
        if not self.model_types and not self.built_in:
            raise ConfigError(f"encoder family {self.name}: neither model_types nor built_in")


EncoderFamilies = Mapping[str, EncoderFamily]
