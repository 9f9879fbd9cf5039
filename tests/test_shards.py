"""Utterances become shards and come back; what is damaged is told apart from what is good."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raypipe.errors import ConfigError, FingerprintError, ShardError
from raypipe.labels import LabelSet
from raypipe.records import Failure, Utterance, Vote
from raypipe.shards import (
    RowFailure,
    ShardEntry,
    read_durations,
    read_index,
    read_shard,
    write_shards,
)
from raypipe.store.location import Location
from raypipe.store.parquet import from_parquet_bytes, to_parquet_bytes
from raypipe.store.schemas import SHARD
from raypipe.votes import VotePolicy

LABELS = LabelSet(("anger", "happiness", "sadness"))


def utterance(number: int, **changes: Any) -> Utterance:
    made = Utterance(
        utterance_id=f"clip-{number:03d}",
        dataset="größe",
        split="test",
        speaker=f"s{number % 3}",
        audio=hashlib.sha256(str(number).encode()).digest() * 8,
        sampling_rate=16_000,
        duration_s=0.5 + number,
        transcript="naïve\n„text“ 😀" if number % 2 else None,
        context=("before", "") if number % 2 else (),
        votes=(
            Vote("a", ("angry", "sad"), "fed up"),
            Vote("b", ("anger",), arousal=2.0),
            Vote("c", ("sad",)),
        ),
        soft_label=(2 / 3, 0.0, 1 / 3),
        plurality="anger",
        n_votes=3,
        consensus="anger" if number % 2 else None,
        arousal=3.5,
        dominance=None,
    )
    return dataclasses.replace(made, **changes)


def corpus(count: int) -> list[Utterance]:
    return [utterance(number) for number in range(count)]


def write(rows: Any, place: Location, **options: Any) -> Any:
    return write_shards(rows, place, LABELS, source="test", **{"rows_per_shard": 4, **options})


def read(place: Location) -> list[Utterance | Failure]:
    index = read_index(place)
    return [row for entry in index.shards for row in read_shard(place, entry, LABELS)]


def test_utterances_come_back_in_order_and_whole(place: Location) -> None:
    bare = Utterance("bare", "d", None, None, b"x", 8_000, 0.0)
    rows = [*corpus(9), bare]
    index = write(rows, place, fixed_sentences=True)
    assert read(place) == rows
    assert read_index(place) == index
    assert [entry.name for entry in index.shards] == [f"shard-00000{n}.parquet" for n in range(3)]
    assert [entry.rows for entry in index.shards] == [4, 4, 2]
    assert (index.rows, index.failures, index.dataset) == (10, 0, "d+größe")
    assert (index.labels, index.fixed_sentences, index.ids_are_unique) == (LABELS.names, True, True)
    for entry in index.shards:
        data = place.read(entry.name)
        assert (len(data), hashlib.sha256(data).hexdigest()) == (entry.bytes, entry.sha256)
    assert sum(entry.duration_s or 0 for entry in index.shards) == pytest.approx(4.5 + 36)


def test_the_same_corpus_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two = Location.parse(str(tmp_path / "1")), Location.parse(str(tmp_path / "2"))
    write(corpus(9), one)
    write(iter(corpus(9)), two)
    assert {name: one.read(name) for name in one.list("")} == {
        name: two.read(name) for name in two.list("")
    }


def test_the_fingerprint_changes_with_the_corpus(tmp_path: Path) -> None:
    variants = {
        "same": (corpus(5), {}),
        "again": (corpus(5), {}),
        "one byte": ([utterance(0, audio=b"y"), *corpus(5)[1:]], {}),
        "order": (corpus(5)[::-1], {}),
        "sentences": (corpus(5), {"fixed_sentences": True}),
    }
    found = {
        name: write(rows, Location.parse(str(tmp_path / name)), **options).fingerprint
        for name, (rows, options) in variants.items()
    }
    assert found["same"] == found["again"]
    assert len(set(found.values())) == len(variants) - 1


def test_shards_close_by_bytes_too(tmp_path: Path) -> None:
    rows = [utterance(number, audio=b"x" * 400) for number in range(6)]
    index = write(rows, Location.parse(str(tmp_path)), bytes_per_shard=1000)
    assert [entry.rows for entry in index.shards] == [3, 3]


@pytest.mark.parametrize("option", ["rows_per_shard", "bytes_per_shard"])
def test_a_shard_size_of_nothing_is_refused(tmp_path: Path, option: str) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        write(corpus(1), Location.parse(str(tmp_path)), **{option: 0})


def test_only_one_shard_is_in_memory(tmp_path: Path) -> None:
    clip_bytes, rows_per_shard, count = 100_000, 4, 120

    def many() -> Iterator[Utterance]:
        for number in range(count):
            yield utterance(number, audio=number.to_bytes(4) * (clip_bytes // 4))

    place = Location.parse(str(tmp_path))
    tracemalloc.start()
    try:
        write(many(), place, rows_per_shard=rows_per_shard)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 * rows_per_shard * clip_bytes < clip_bytes * count / 4


def test_failures_and_duplicates_are_counted_and_listed(tmp_path: Path) -> None:
    place = Location.parse(str(tmp_path))
    rows = [
        utterance(0),
        RowFailure("x", "ingest", "unknown_label", "line 2: ...", 2),
        utterance(0, speaker="other"),
        Failure(None, "ingest", "odd", "no row"),
        utterance(1),
    ]
    index = write(rows, place)
    assert (index.rows, index.failures) == (2, 3)
    assert [row.utterance_id for row in read(place)] == ["clip-000", "clip-001"]
    errors = from_parquet_bytes(place.read("ingest_errors.parquet")).to_pylist()
    assert [(row["row"], row["error_type"], row["utterances"]) for row in errors] == [
        (2, "unknown_label", 1),
        (2, "duplicate_id", 1),
        (None, "odd", 1),
    ]
    assert "clip-000" in errors[1]["message"]


def test_votes_become_the_soft_label_unless_there_is_one(tmp_path: Path) -> None:
    place = Location.parse(str(tmp_path))
    blank = {"soft_label": None, "plurality": None, "n_votes": 0}
    write(
        [
            utterance(0, **blank),
            utterance(1, votes=(), **blank),
            utterance(2, soft_label=(0.1, 0.8, 0.1), plurality=None),
            utterance(3, soft_label=(0.5, 0.5, 0.0), plurality=None),
        ],
        place,
    )
    rows = [row for row in read(place) if isinstance(row, Utterance)]
    assert rows[0].soft_label == pytest.approx((2 / 3, 0, 1 / 3))
    assert (rows[0].plurality, rows[0].n_votes) == ("anger", 3)
    assert (rows[1].soft_label, rows[1].plurality, rows[1].n_votes) == (None, None, 0)
    assert [row.plurality for row in rows[2:]] == ["happiness", None]


def test_what_the_policy_leaves_out_is_listed_and_is_no_failure(tmp_path: Path) -> None:
    place = Location.parse(str(tmp_path))
    blank = {"soft_label": None, "plurality": None, "n_votes": 0}
    policy = VotePolicy(clips="majority")
    tie = (Vote("a", ("anger",)), Vote("b", ("sad",)))
    index = write([utterance(0, **blank), utterance(1, votes=tie, **blank)], place, policy=policy)
    assert (index.rows, index.failures, index.excluded, index.policy) == (1, 0, 1, policy)
    [row] = from_parquet_bytes(place.read("ingest_excluded.parquet")).to_pylist()
    assert (row["utterance_id"], row["error_type"]) == ("clip-001", "no_majority")
    assert not place.exists("ingest_errors.parquet")


def test_a_shard_written_before_votes_had_attributes_is_read(tmp_path: Path) -> None:
    old_vote = pa.struct(
        [("annotator", pa.string()), ("labels", pa.list_(pa.string())), ("typed", pa.string())]
    )
    vote = {"annotator": "a", "labels": ["anger"], "typed": None}
    table = pa.table(
        {
            "utterance_id": ["x"],
            "audio": [b"x"],
            "votes": pa.array([[vote]], pa.list_(old_vote)),
        }
    )
    data = to_parquet_bytes(table.replace_schema_metadata({"raypipe.labels": '["anger", "b"]'}), {})
    (tmp_path / "old.parquet").write_bytes(data)
    place = Location.parse(str(tmp_path))
    [row] = read_shard(place, ShardEntry(name="old.parquet", rows=1))
    assert isinstance(row, Utterance)
    assert row.votes == (Vote("a", ("anger",)),)


def test_an_interrupted_ingest_is_simply_repeated(place: Location) -> None:
    def broken() -> Iterator[Utterance]:
        yield from corpus(6)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(broken(), place)
    assert place.list("") == ["shard-000000.parquet"]
    index = write(corpus(9), place)
    assert read(place) == corpus(9)
    assert write(corpus(9), place) == index


def test_another_corpus_is_never_overwritten(place: Location) -> None:
    write(corpus(9), place)
    before = {name: place.read(name) for name in place.list("")}
    with pytest.raises(FingerprintError, match="other utterances"):
        write(corpus(9)[1:], place)
    with pytest.raises(FingerprintError, match="another corpus"):
        write(corpus(4), place)  # its only shard is the same, the corpus is not
    assert {name: place.read(name) for name in place.list("")} == before


def test_a_plain_folder_of_shards_is_a_corpus(place: Location) -> None:
    indexed = write([*corpus(9), Failure(None, "ingest", "odd", "")], place)
    plain = place.child("..".join("ab"))
    for entry in indexed.shards:
        plain.write(entry.name, place.read(entry.name))
    index = read_index(plain)
    assert [(entry.name, entry.rows) for entry in index.shards] == [
        (entry.name, entry.rows) for entry in indexed.shards
    ]
    assert index.fingerprint == indexed.fingerprint
    assert (index.rows, index.labels, index.ids_are_unique) == (9, LABELS.names, False)
    assert read(plain) == corpus(9)


def test_a_folder_without_shards_is_refused(place: Location) -> None:
    with pytest.raises(ConfigError, match=r"holds no shards\.json and no shards"):
        read_index(place)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "format version None"),
        ('{"format_version": 99}', "format version 99"),
        ('{"format_version": 1}', "dataset: Field required"),
        ("\xff", "not JSON"),
    ],
)
def test_an_index_that_cannot_be_read_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "shards.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=message):
        read_index(Location.parse(str(tmp_path)))


def test_an_unknown_key_in_the_index_is_refused(tmp_path: Path) -> None:
    place = Location.parse(str(tmp_path))
    index = write(corpus(1), place)
    document = {**index.model_dump(mode="json"), "shardz": 1}
    place.write("shards.json", json.dumps(document).encode())
    with pytest.raises(ConfigError, match="shardz"):
        read_index(place)


def test_durations_are_read_without_the_audio(place: Location) -> None:
    index = write(corpus(10), place)
    first, second, third = index.shards
    taken = read_durations(place, [(first, 4), (second, 4), (third, 1)])
    assert taken.tolist() == [0.5 + number for number in range(9)]
    assert read_durations(place, []).tolist() == []
    nameless = ShardEntry(name="none.parquet", rows=1)
    with pytest.raises(ShardError, match=r"none\.parquet cannot be read"):
        read_durations(place, [(nameless, 1)])


def test_a_shard_without_durations_has_none(tmp_path: Path) -> None:
    pq.write_table(pa.table({"utterance_id": ["a", "b"]}), tmp_path / "x.parquet")
    seconds = read_durations(
        Location.parse(str(tmp_path)), [(ShardEntry(name="x.parquet", rows=2), 2)]
    )
    assert np.isnan(seconds).tolist() == [True, True]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (None, "missing"),
        (lambda data: b"", "SHA-256"),
        (lambda data: data[:-100], "SHA-256"),
        (lambda data: data[:500] + bytes([data[500] ^ 1]) + data[501:], "SHA-256"),
    ],
)
def test_a_damaged_shard_is_told_with_its_name(tmp_path: Path, damage: Any, message: str) -> None:
    place = Location.parse(str(tmp_path))
    entry = write(corpus(4), place).shards[0]
    if damage is None:
        (tmp_path / entry.name).unlink()
    else:
        place.write(entry.name, damage(place.read(entry.name)))
    with pytest.raises(ShardError, match=rf"{entry.name}: .*{message}"):
        read_shard(place, entry, LABELS)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pa.table({"text": ["x"]}), "not a shard: no column utterance_id or audio"),
        (pa.table({"utterance_id": ["a"], "audio": [1.5]}), "column audio is double"),
        (pa.table({"utterance_id": ["a"], "audio": [b"1"], "votes": [3]}), "column votes is int64"),
        (pa.table({"utterance_id": [b"\xff"], "audio": [b"1"]}), "column utterance_id is binary"),
        (pa.table({"utterance_id": ["a"] * 2, "audio": [b"1"] * 2}), "2 rows, the index says 1"),
    ],
)
def test_what_is_not_a_shard_is_told_apart(tmp_path: Path, table: pa.Table, message: str) -> None:
    place = Location.parse(str(tmp_path))
    place.write("a.parquet", to_parquet_bytes(table, {}))
    with pytest.raises(ShardError, match=rf"a\.parquet: {message}"):
        read_shard(place, ShardEntry(name="a.parquet", rows=1), LABELS)


def test_other_labels_are_not_mixed_up(tmp_path: Path) -> None:
    place = Location.parse(str(tmp_path))
    entry = write(corpus(1), place).shards[0]
    with pytest.raises(ShardError, match="its labels are"):
        read_shard(place, entry, LabelSet(("sadness", "happiness", "anger")))


def test_a_plain_folder_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    place = Location.parse(str(tmp_path))
    place.write("a.parquet", b"not Parquet at all")
    with pytest.raises(ShardError, match=r"a\.parquet is not a Parquet file"):
        read_index(place)
    place.write("a.parquet", to_parquet_bytes(pa.table({"x": [1]}), {}))
    with pytest.raises(ShardError, match="names no label set"):
        read_index(place)


def test_bad_rows_are_failures_in_their_places(tmp_path: Path) -> None:
    rows = [
        {"utterance_id": "good", "audio": b"1", "soft_label": [0.5, 0.5, 0.0]},
        {"utterance_id": None, "audio": b"1"},
        {"utterance_id": "", "audio": b"1"},
        {"utterance_id": "silent", "audio": b""},
        {"utterance_id": "null", "audio": None},
        {"utterance_id": "good", "audio": b"2"},
        {"utterance_id": "short", "audio": b"1", "soft_label": [0.5, 0.5]},
        {"utterance_id": "sum", "audio": b"1", "soft_label": [0.5, 0.5, 0.5]},
        {"utterance_id": "hole", "audio": b"1", "soft_label": [0.5, 0.5, None]},
        {"utterance_id": "negative", "audio": b"1", "soft_label": [1.5, -0.5, 0.0]},
        {"utterance_id": "nan", "audio": b"1", "soft_label": [float("nan"), 0.5, 0.5]},
        {"utterance_id": "last", "audio": b"1"},
    ]
    loose = pa.schema([(field.name, field.type) for field in SHARD])
    pq.write_table(pa.Table.from_pylist(rows, schema=loose), tmp_path / "a.parquet")
    found = read_shard(
        Location.parse(str(tmp_path)), ShardEntry(name="a.parquet", rows=len(rows)), LABELS
    )
    assert [row.error_type if isinstance(row, Failure) else row.utterance_id for row in found] == [
        "good",
        *["missing_id"] * 2,
        *["empty"] * 2,
        "duplicate_id",
        *["bad_soft_label"] * 5,
        "last",
    ]
    for number, row in enumerate(found):
        if isinstance(row, RowFailure):
            assert row.row == number
            assert row.stage == "read"
            assert f"a.parquet row {number}" in row.message
    assert "1.5" in found[7].message  # type: ignore[union-attr]
