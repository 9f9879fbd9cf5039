"""A features job on a real Ray: commits per shard, continues, the same whatever the batches."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from raypipe.runtime.features.config import FeatureResources, FeaturesConfig
from raypipe.runtime.features.job import encoder_pool, features
from raypipe.runtime.features.stages import EncoderPool
from raypipe.store.features import read_features
from raypipe.store.location import Location
from raypipe.store.objects import object_table
from raypipe.store.run_record import RunRecord
from raypipe.tiny_alm.corpus import synthetic_utterances

QUIET = Console(file=io.StringIO())


def config(shards: object, output: object, **changes: Any) -> FeaturesConfig:
    document = {"input": {"shards": str(shards)}, "output": str(output), **changes}
    return FeaturesConfig.model_validate(document)


def encode(shards: object, output: object, **changes: Any) -> RunRecord:
    return features(config(shards, output, **changes), console=QUIET)


def means(output: Path, encoder: str = "tiny-alm") -> np.ndarray:
    place = Location.parse(str(output)).child("features", f"model={encoder}", "prompt=10s")
    return np.concatenate(
        [read_features(object_table(place.read(name))).mean for name in place.list()]
    )


def test_a_job_continues_and_batches_change_nothing(
    ray_cluster: None, corpus: Path, runs: Any, tmp_path: Path
) -> None:
    whole = tmp_path / "whole"
    record = encode(corpus, whole)
    counts = record.done_counts
    assert (counts.input, counts.predicted, counts.errors) == (runs.utterances, runs.utterances, 0)
    first = runs.tables(whole)
    assert sum(name.startswith("features/") for name in first) == 3
    # One object is lost: it alone is made again, to the same bytes.
    lost = next(name for name in first if name.startswith("features/"))
    (whole / lost).unlink()
    encode(corpus, whole)
    assert runs.tables(whole) == first
    # Each clip by itself.
    alone = tmp_path / "alone"
    encode(corpus, alone, resources={"batch_clips": 1, "actors": 2, "cpus_per_actor": 0.25})
    assert means(whole).shape == (runs.utterances, 5, 192)
    np.testing.assert_allclose(means(whole), means(alone), atol=1e-4)


def test_several_encoders_share_a_place_and_broken_clips_are_counted(
    ray_cluster: None, runs: Any, tmp_path: Path
) -> None:
    rows = list(synthetic_utterances(6, seed=3, split="test"))
    rows[2] = dataclasses.replace(rows[2], audio=b"broken")
    shards = runs.shards(rows, tmp_path / "shards", 4)
    output = tmp_path / "out"
    encoders = [{"path": "fbank-raw"}, {"path": "fbank-s3prl"}]
    encode(shards, output, encoders=encoders[:1])
    counts = encode(shards, output, encoders=encoders).done_counts
    assert [(cell.model, cell.predicted, cell.errors) for cell in counts.cells] == [
        ("fbank-raw", 5, 1),
        ("fbank-s3prl", 5, 1),
    ]
    assert len(means(output, "fbank-raw")) == 5
    [row] = runs.rows(output, "SELECT count(*) AS n FROM features WHERE frames IS NOT NULL")
    assert row["n"] == 10


def test_actors_of_auto_are_one_without_a_gpu(ray_cluster: None) -> None:
    pool = encoder_pool(FeatureResources())
    assert (pool.actors, pool.gpus) == (1, 0.0)
    assert pool.required == {"gpus": 0.0, "cpus": pytest.approx(1.75)}


def test_a_smaller_cluster_has_fewer_actors() -> None:
    pool = EncoderPool(actors=8, gpus=0.5, cpus=1.0, readers=2)
    assert pool.within({"CPU": 64.0, "GPU": 2.0}).actors == 4
    assert pool.within({"CPU": 4.25, "GPU": 8.0}).actors == 3
    assert pool.within({"CPU": 64.0, "GPU": 8.0}).actors == 8
    assert pool.within({"CPU": 0.0}).actors == 1
