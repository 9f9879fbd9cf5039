"""Features come back from a table as they went in, failures in their places."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from in_process import LABELS, utterance

from raypipe.errors import ShardError
from raypipe.records import Failure, LayerStatistics
from raypipe.store.features import EncodedClip, features_table, read_features
from raypipe.store.objects import object_bytes, object_table
from raypipe.store.schemas import FEATURES


def statistics(seed: int, layers: int = 3, width: int = 4, std: bool = False) -> LayerStatistics:
    values = np.random.default_rng(seed).normal(size=(2, layers, width)).astype(np.float32)
    return LayerStatistics(values[0], values[1] if std else None, 10 + seed)


def table(*clips: EncodedClip) -> pa.Table:
    rows = features_table(clips, run="r", model="m", prompt="10s", labels=LABELS)
    return object_table(object_bytes(rows, model="m", prompt="10s", fingerprint="f"))


@pytest.mark.parametrize("std", [False, True])
def test_features_come_back(std: bool) -> None:
    broken = Failure("u1", "decode", "truncated", "cut")
    made = table(
        EncodedClip(utterance("u0"), statistics(0, std=std), 0.5),
        EncodedClip(utterance("u1"), broken),
        EncodedClip(None, Failure(None, "read", "missing_id", "no id")),
        EncodedClip(utterance("u2"), statistics(2, std=std), 0.25),
    )
    assert set(made.column_names) == set(FEATURES.names)
    read = read_features(made)
    assert [each.utterance_id for each in read.utterances] == ["u0", "u2"]
    assert read.utterances[0].soft_label == utterance("u0").soft_label
    assert read.utterances[0].votes == utterance("u0").votes
    np.testing.assert_array_equal(read.mean, [statistics(0).mean, statistics(2).mean])
    assert (read.std is not None) == std
    if std:
        np.testing.assert_array_equal(
            read.std, [statistics(0, std=True).std, statistics(2, std=True).std]
        )
    [first, second] = read.failures
    assert first[:2] == (1, broken)
    assert first[2] is not None
    assert first[2].speaker == "s1"
    assert second == (2, Failure(None, "read", "missing_id", "no id"), None)
    assert made.column("heard_s").to_pylist() == [0.5, None, None, 0.25]
    assert made.column("frames").to_pylist() == [10, None, None, 12]


def test_a_shard_of_failures_alone_has_no_features() -> None:
    read = read_features(table(EncodedClip(None, Failure(None, "read", "missing_id", "no id"))))
    assert read.mean.shape == (0, 0, 0)
    assert read_features(table()).failures == ()


def test_rows_of_different_shapes_are_refused() -> None:
    with pytest.raises(ShardError, match="different shapes"):
        read_features(
            table(
                EncodedClip(utterance("u0"), statistics(0)),
                EncodedClip(utterance("u1"), statistics(1, layers=2)),
            )
        )
