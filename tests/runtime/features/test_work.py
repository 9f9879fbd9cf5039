"""A shard is decoded, encoded and committed; every row is a feature or a reason."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from in_process import InProcess, clip, utterance

from raypipe.records import FloatArray, LayerStatistics
from raypipe.runtime.features.config import FeaturesConfig
from raypipe.runtime.features.plan import EncoderRun, plan_features
from raypipe.runtime.features.work import commit_encoded, decode_shard, encode_shard
from raypipe.store.features import read_features
from raypipe.store.objects import object_table


class Counting:
    """One layer: number of samples, and their mean; NaN for clips of 0.7 s."""

    sampling_rate, stride, pads = 16_000, 160, False
    shortest_samples, longest_samples = 3_200, 16_000
    normalisation = "none"

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def encode(self, clips: Sequence[FloatArray]) -> list[LayerStatistics]:
        self.batches.append([len(samples) for samples in clips])
        return [
            LayerStatistics(
                np.array([[len(samples), samples.mean()]], np.float32)
                * (np.nan if len(samples) == 11_200 else 1),
                None,
                3,
            )
            for samples in clips
        ]


def one_shard(run: InProcess, **changes: object) -> EncoderRun:
    document = {
        "input": {"shards": str(run.shards)},
        "output": run.tables.uri,
        "encoders": [{"path": "fbank-raw"}],
        **changes,
    }
    return plan_features(FeaturesConfig.model_validate(document)).runs[0]


def test_every_row_has_features_or_a_reason(tmp_path: object) -> None:
    run = InProcess(tmp_path)  # type: ignore[arg-type]
    rows = [utterance(f"u{at}") for at in range(7)]
    for at, seconds in enumerate((0.5, 0.1, 2.0, 0.7, 0.5)):
        rows[at] = dataclasses.replace(rows[at], audio=clip(seconds, at), duration_s=seconds)
    rows[5] = dataclasses.replace(rows[5], audio=b"no audio")
    run.write(*rows)
    part = one_shard(run, cut_s=None)
    encoder, context = Counting(), part.context
    shard = encode_shard(decode_shard(part.tasks[0], context), context, encoder)
    # Of one length only: this encoder does not pad.
    assert encoder.batches == [[8_000, 8_000, 8_000], [11_200]]
    summary = commit_encoded(shard, context)
    assert (summary.utterances, summary.errors) == (7, 4)
    name = context.object_name("features", part.tasks[0].entry.name)
    stored = read_features(object_table(run.tables.read(name)))
    assert [each.utterance_id for each in stored.utterances] == ["u0", "u4", "u6"]
    assert stored.mean[:, 0, 0].tolist() == [8_000, 8_000, 8_000]
    reasons = [(number, failure.error_type) for number, failure, _ in stored.failures]
    assert reasons == [(1, "too_short"), (2, "too_long"), (3, "non_finite"), (5, "not_audio")]
    errors = run.rows('SELECT "row", utterance_id, stage FROM errors ORDER BY "row"')
    assert [row["utterance_id"] for row in errors] == ["u1", "u2", "u3", "u5"]
    assert {row["stage"] for row in errors} == {"engine", "decode"}


def test_a_clip_is_cut(in_process: InProcess) -> None:
    part = one_shard(in_process, cut_s=0.25)
    shard = decode_shard(part.tasks[0], part.context)
    assert {len(samples) for samples in shard.clips if isinstance(samples, np.ndarray)} == {4_000}
    encoded = encode_shard(shard, part.context, Counting())
    assert {each.heard_s for each in encoded.clips} == {0.25}


def test_a_shard_that_cannot_be_read_is_one_error_for_all_its_rows(in_process: InProcess) -> None:
    part = one_shard(in_process)
    task = part.tasks[0]
    (in_process.shards / task.entry.name).write_bytes(b"damaged")
    shard = encode_shard(decode_shard(task, part.context), part.context, Counting())
    summary = commit_encoded(shard, part.context)
    assert summary.errors == summary.utterances == task.take
    [row] = in_process.rows('SELECT "row", utterances FROM errors')
    assert row == {"row": None, "utterances": task.take}


def test_a_shard_is_the_same_bytes_again(in_process: InProcess) -> None:
    part = one_shard(in_process)
    written = []
    for _ in range(2):  # an object that is there is not written again, so compare the tables
        shard = encode_shard(decode_shard(part.tasks[0], part.context), part.context, Counting())
        commit_encoded(shard, part.context)
        written.append(in_process.objects())
    assert written[0] == written[1]
