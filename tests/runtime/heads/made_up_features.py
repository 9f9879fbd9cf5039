"""Features of a made-up corpus, written as a features job writes them: no encoder, no audio."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from in_process import LABELS, utterance

from raypipe.records import Failure, LayerStatistics
from raypipe.runtime.heads.config import HeadsConfig
from raypipe.runtime.heads.plan import HeadsPlan, plan_heads
from raypipe.store.features import EncodedClip, features_table
from raypipe.store.location import Location
from raypipe.store.objects import object_bytes
from raypipe.store.run_record import RunRecord, write_record
from raypipe.store.tables import errors_table

BROKEN = Failure("u7", "decode", "truncated", "cut")


def write_features(
    folder: Path,
    *,
    clips: int = 60,
    per_shard: int = 25,
    splits: bool = False,
    std: bool = False,
    unread: bool = False,
) -> Location:
    """Clip u7 is broken; the second of three layers knows the label of every other."""
    place = Location.parse(str(folder))
    random = np.random.default_rng(0)
    rows: list[EncodedClip] = []
    for at in range(clips):
        known = utterance(f"u{at}")
        split = ("train", "train", "dev", "test")[at % 4] if splits else "test"
        known = dataclasses.replace(known, audio=b"", split=split, speaker=f"s{at % 11}")
        mean = random.normal(size=(3, 8)).astype(np.float32)
        mean[1, :6] += 3 * np.array(known.soft_label, np.float32)
        spread = np.abs(mean) if std else None
        rows.append(EncodedClip(known, BROKEN if at == 7 else LayerStatistics(mean, spread, 9)))
    folder_name = "model=made-up/prompt=10s"
    shards = [rows[at : at + per_shard] for at in range(0, clips, per_shard)]
    lost = Failure(None, "read", "ShardError", "damaged")
    for number, shard in enumerate([*shards, *([[]] if unread else [])]):
        failures: list[tuple[int | None, Failure]] = [
            (row, clip.answer) for row, clip in enumerate(shard) if isinstance(clip.answer, Failure)
        ]
        failures += [] if shard else [(None, lost)]
        keys = {"run": "r", "model": "made-up", "prompt": "10s"}
        errors = errors_table(failures, shard=str(number), shard_rows=5, **keys)
        features = features_table(shard, labels=LABELS, **keys)
        for table, content in (("errors", errors), ("features", features)):
            data = object_bytes(content, model="made-up", prompt="10s", fingerprint="f" * 64)
            place.write(f"{table}/{folder_name}/shard-{number:06d}.parquet", data)
    write_record(
        place,
        RunRecord(
            name="features",
            run="r",
            status="finished",
            fingerprint="f" * 64,
            generation_fingerprint="f" * 64,
            labels=LABELS.names,
            config={},
            seed=0,
            versions={},
            started="2026-01-01T00:00:00+00:00",
        ),
    )
    return place


def plan(folder: Path, **changes: object) -> HeadsPlan:
    document = {"features": str(folder / "f"), "output": str(folder / "out"), **changes}
    return plan_heads(HeadsConfig.model_validate(document))
