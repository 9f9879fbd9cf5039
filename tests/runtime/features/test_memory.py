"""A thousand clips go through an encoder in flat memory, each as it comes out by itself."""

from __future__ import annotations

import dataclasses
import resource
import sys
from pathlib import Path

import numpy as np
from in_process import LABELS, InProcess, clip, utterance

sys.path.insert(0, str(Path(__file__).parents[2] / "ssl"))

from random_encoders import save_encoder

from raypipe.audio import decode
from raypipe.runtime.features.config import FeaturesConfig
from raypipe.runtime.features.plan import plan_features
from raypipe.runtime.features.work import commit_encoded, decode_shard, encode_shard
from raypipe.ssl import load
from raypipe.store.features import read_features
from raypipe.store.objects import object_table

CLIPS, PER_SHARD = 1_000, 100


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_a_thousand_clips_in_flat_memory_and_no_clip_changes_another(tmp_path: Path) -> None:
    run = InProcess(tmp_path)
    random = np.random.default_rng(0)
    rows = []
    for at in range(CLIPS):
        seconds = float(random.uniform(0.1, 0.6))
        known = utterance(f"u{at}", 0.1)
        rows.append(dataclasses.replace(known, audio=clip(seconds, at), duration_s=seconds))
    run.write(*rows, rows_per_shard=PER_SHARD)
    place = save_encoder("wav2vec2-robust", tmp_path)
    config = {
        "input": {"shards": str(run.shards)},
        "output": run.tables.uri,
        "encoders": [{"path": str(place)}],
    }
    [part] = plan_features(FeaturesConfig.model_validate(config)).runs
    context, peaks = part.context, []
    encoder = load(context.encoder.source("cpu", with_std=False))
    for task in part.pending:
        commit_encoded(encode_shard(decode_shard(task, context), context, encoder), context)
        peaks.append(peak_mb())
    # The first shards fill torch's and Arrow's pools; after that it is the same memory again.
    assert peaks[-1] - peaks[2] < 40, peaks
    assert context.labels == LABELS
    stored = [
        read_features(
            object_table(run.tables.read(context.object_name("features", task.entry.name)))
        )
        for task in part.tasks
    ]
    means = np.concatenate([each.mean for each in stored])
    assert means.shape == (CLIPS, 4, 32)
    for at in random.choice(CLIPS, 40, replace=False):
        [alone] = encoder.encode([decode(rows[at].audio, sampling_rate=16_000)])
        np.testing.assert_allclose(means[at], alone.mean, atol=1e-4)
