"""A family of another package is used like a built-in one."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from raypipe.errors import ConfigError, RegistryError
from raypipe.records import FloatArray
from raypipe.ssl import (
    EncoderFamily,
    EncoderSource,
    LayerStatistics,
    encoder_families,
    family_of,
    load,
    registry,
)


class Loudness:
    """Two layers of one number each: mean and mean square of the samples."""

    sampling_rate, stride, pads, shortest_samples, longest_samples = 16_000, 160, True, 160, None
    normalisation = "none"

    def encode(self, clips: Sequence[FloatArray]) -> list[LayerStatistics]:
        return [
            LayerStatistics(
                np.array([[clip.mean()], [np.square(clip).mean()]], np.float32), None, 1
            )
            for clip in clips
        ]


FAMILY = EncoderFamily(
    name="loudness",
    rank=500,
    built_in=("loudness",),
    model_types=("loudness",),
    load=lambda source: Loudness(),
    layers="two",
    batches="any",
    normalisation="none",
)


def bring(monkeypatch: pytest.MonkeyPatch, value: object, name: str = "loudness") -> None:
    class Brought(importlib.metadata.EntryPoint):
        def load(self) -> object:
            return value

    def entry_points(group: str) -> list[importlib.metadata.EntryPoint]:
        return [Brought(name, "mine:FAMILY", group)] if group == registry.GROUP else []

    monkeypatch.setattr(registry.importlib.metadata, "entry_points", entry_points)
    encoder_families.cache_clear()


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    encoder_families.cache_clear()


def test_another_packages_family_is_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bring(monkeypatch, FAMILY)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "loudness"}))
    for path in ("loudness", str(tmp_path)):
        assert family_of(path) is FAMILY
        [given] = load(EncoderSource(path)).encode([np.full(200, 2.0, np.float32)])
        assert given.mean.tolist() == [[2.0], [4.0]]


def test_what_is_no_family_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bring(monkeypatch, object())
    with pytest.raises(RegistryError, match="no family"):
        encoder_families()


def test_a_taken_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bring(monkeypatch, dataclasses.replace(FAMILY, name="WavLM"))
    with pytest.raises(RegistryError, match="another family's name"):
        encoder_families()


def test_a_family_that_nothing_names_is_refused() -> None:
    with pytest.raises(ConfigError, match="neither"):
        dataclasses.replace(FAMILY, model_types=(), built_in=())
