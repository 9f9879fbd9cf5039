"""Shards of a part of a corpus: read, encoded and written, in this process."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from corpus_folder import CLIP
from poisoned_table import PoisonedTable

from raypipe.corpora import pending
from raypipe.corpora.containers import ClipEntry
from raypipe.corpora.hf_table import tables
from raypipe.corpora.limits import RecordingLimits
from raypipe.corpora.pending import PendingClip
from raypipe.errors import CorpusError, FingerprintError, ShardError
from raypipe.labels import LabelSet
from raypipe.records import Failure, Utterance, Vote
from raypipe.runtime.ingest import work
from raypipe.runtime.ingest.plan import IngestPlan, ShardLimits
from raypipe.runtime.ingest.scan import scanned
from raypipe.runtime.ingest.work import (
    ClipShard,
    ContainerShards,
    ExcludedInput,
    IngestContext,
    IngestInput,
    counted,
    names_of,
    write_shards,
)
from raypipe.shards import RowFailure, read_shard
from raypipe.store.location import Location
from raypipe.votes import VotePolicy

LABELS = LabelSet(("anger", "sadness"))
NOWHERE = Location("/nowhere")
Encode = Callable[..., bytes]


def unread(number: int, vote: str = "anger") -> Utterance:
    votes = (Vote("a", (vote,)), Vote("b", ("sadness",)))
    return Utterance(f"c{number}", "d", None, None, b"", 0, 0.0, votes=votes)


def context(place: Location, **changes: Any) -> IngestContext:
    return replace(IngestContext(place, LABELS, VotePolicy(), True, "f" * 64), **changes)


class Clips:
    """Recordings in files of their own."""

    def __init__(self, folder: Path, encode: Encode) -> None:
        self.place, self._encode = Location.parse(str(folder)), encode

    def __call__(self, number: int, **how: Any) -> PendingClip:
        name = f"c{number}.wav"
        samples = np.random.default_rng(number).uniform(-0.2, 0.2, 4_000)
        self.place.write(name, self._encode(samples, **how))
        row = counted(unread(number), LABELS, VotePolicy(), "votes.csv", number)
        assert isinstance(row, Utterance)
        return PendingClip(row, self.place, name, "votes.csv", number, name)


@pytest.fixture
def clips(tmp_path: Path, encode: Encode) -> Clips:
    return Clips(tmp_path / "corpus", encode)


@dataclass(frozen=True)
class Box:
    """A container whose clips are there already; ``ends`` as a damaged file does."""

    rows: tuple[Utterance | Failure, ...]
    ends: int | None = None
    place: Location = NOWHERE
    name: str = "box.tar"

    def scan(self) -> Iterator[ClipEntry]:
        raise AssertionError("it was listed before")

    def read(self, limits: object = None) -> Iterator[Utterance | Failure]:
        for number, row in enumerate(self.rows):
            if number == self.ends:
                raise CorpusError("box.tar is cut short")
            yield row

    def position(self, number: int) -> str:
        return f"box.tar clip {number + 1}"


def test_a_shard_of_files_holds_them_in_the_corpus_s_order(place: Location, clips: Clips) -> None:
    part = ClipShard("shard-000000.parquet", tuple(clips(number) for number in (3, 1, 2)))
    assert names_of(part) == ["shard-000000.parquet"]
    (written,) = write_shards(part, context(place))
    rows = read_shard(place, written.entry, LABELS)
    assert [row.utterance_id for row in rows] == ["c3", "c1", "c2"]
    entry, outcome = written.entry, written.outcome
    assert (entry.name, entry.rows, entry.duration_s) == ("shard-000000.parquet", 3, 0.75)
    data = place.read(entry.name)
    assert (entry.bytes, entry.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert (outcome.inputs, outcome.votes, outcome.datasets) == (3, 6, ["d"])
    assert outcome.failures == outcome.excluded == []


def test_integer_recordings_become_flac_without_another_sample(
    place: Location, clips: Clips
) -> None:
    clip = clips(1)
    (written,) = write_shards(ClipShard("s.parquet", (clip,)), context(place))
    (row,) = read_shard(place, written.entry)
    assert isinstance(row, Utterance)
    assert row.audio.startswith(b"fLaC")
    stored, _ = soundfile.read(io.BytesIO(row.audio), dtype="int16")
    original, _ = soundfile.read(io.BytesIO(clip.place.read(clip.name)), dtype="int16")
    np.testing.assert_array_equal(stored, original)
    assert written.outcome.kept_original == {}


def test_what_flac_would_change_stays_as_it_is_and_is_counted(
    place: Location, clips: Clips
) -> None:
    clip = clips(1, subtype="FLOAT")
    part = ClipShard("s.parquet", (clip, clips(2)))
    (written,) = write_shards(part, context(place))
    first = read_shard(place, written.entry)[0]
    assert isinstance(first, Utterance)
    assert first.audio == clip.place.read(clip.name)
    assert written.outcome.kept_original == {"WAV/FLOAT": 1}


def test_originals_stay_as_they_are_where_that_is_asked(place: Location, clips: Clips) -> None:
    clip = clips(1)
    (written,) = write_shards(ClipShard("s.parquet", (clip,)), context(place, flac=False))
    (row,) = read_shard(place, written.entry)
    assert isinstance(row, Utterance)
    assert row.audio == clip.place.read(clip.name)


def test_what_cannot_be_used_costs_only_itself(place: Location, clips: Clips) -> None:
    listed = RowFailure("c8", "ingest", "odd", "votes.csv line 8: odd", 8)
    left_out = ExcludedInput(RowFailure("c9", "ingest", "outside_label", "votes.csv line 9", 9))
    gone, broken = clips(5), clips(6)
    (Path(clips.place.uri) / gone.name).unlink()
    clips.place.write(broken.name, b"no sound at all")
    inputs: tuple[IngestInput, ...] = (clips(1), listed, gone, left_out, broken, clips(2))
    (written,) = write_shards(ClipShard("s.parquet", inputs), context(place))
    assert [row.utterance_id for row in read_shard(place, written.entry)] == ["c1", "c2"]
    outcome = written.outcome
    assert outcome.inputs == 6
    assert [failure.error_type for failure in outcome.failures] == [
        "odd",
        "missing_audio",
        "not_audio",
    ]
    assert "votes.csv line 6" in outcome.failures[2].message
    assert outcome.excluded == [left_out.reason]


def test_a_shard_that_is_there_is_not_read_again(place: Location, clips: Clips) -> None:
    part = ClipShard("s.parquet", (clips(1), clips(2, subtype="FLOAT")))
    (first,) = write_shards(part, context(place))
    for name in ("c1.wav", "c2.wav"):
        (Path(clips.place.uri) / name).unlink()
    (second,) = write_shards(part, context(place))
    assert second == first


def test_a_shard_of_another_ingest_is_refused(place: Location, clips: Clips) -> None:
    part = ClipShard("s.parquet", (clips(1),))
    list(write_shards(part, context(place)))
    with pytest.raises(FingerprintError, match="is not of this ingest"):
        list(write_shards(part, context(place, fingerprint="0" * 64)))


def test_an_object_that_is_no_shard_is_refused(place: Location, clips: Clips) -> None:
    place.write("s.parquet", b"damaged")
    with pytest.raises(ShardError, match=r"s\.parquet is no shard: .*; remove it and repeat"):
        list(write_shards(ClipShard("s.parquet", (clips(1),)), context(place)))


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path, clips: Clips) -> None:
    part = ClipShard("s.parquet", tuple(clips(number) for number in range(20)))
    data = []
    for name in ("a", "b"):
        there = Location.parse(str(tmp_path / name))
        list(write_shards(part, context(there)))
        data.append(there.read("s.parquet"))
    assert data[0] == data[1]


def box(encode: Encode, count: int, ends: int | None = None) -> Box:
    audio = encode(np.zeros(1_600), 16_000)
    rows = tuple(
        replace(unread(number), audio=audio, sampling_rate=16_000, duration_s=0.1)
        for number in range(count)
    )
    return Box(rows, ends)


TWO_AND_ONE = (("shard-000000.parquet", 2), ("shard-000001.parquet", 1))


def test_a_container_is_cut_into_its_shards(place: Location, encode: Encode) -> None:
    part = ContainerShards(box(encode, 3), TWO_AND_ONE, {})
    assert names_of(part) == ["shard-000000.parquet", "shard-000001.parquet"]
    first, second = write_shards(part, context(place))
    assert [row.utterance_id for row in read_shard(place, first.entry)] == ["c0", "c1"]
    assert [row.utterance_id for row in read_shard(place, second.entry)] == ["c2"]


def test_only_the_shards_of_a_container_that_are_missing_are_written(
    tmp_path: Path, encode: Encode
) -> None:
    place = Location.parse(str(tmp_path / "out"))
    part = ContainerShards(box(encode, 3), TWO_AND_ONE, {})
    before = list(write_shards(part, context(place)))
    data = {name: place.read(name) for name in names_of(part)}
    (tmp_path / "out" / "shard-000001.parquet").unlink()
    assert list(write_shards(part, context(place))) == before
    assert {name: place.read(name) for name in names_of(part)} == data
    nobody_reads = replace(part, container=replace(box(encode, 3), ends=0))
    assert list(write_shards(nobody_reads, context(place))) == before


def test_repeated_ids_and_votes_outside_are_told_by_their_place(
    place: Location, encode: Encode
) -> None:
    whole = box(encode, 3)
    outside = replace(whole.rows[2], votes=(Vote("a", ("ennui",)),))  # type: ignore[type-var]
    container = replace(whole, rows=(*whole.rows[:2], outside))
    part = ContainerShards(container, (("s.parquet", 3),), {1: "other.tar clip 5"})
    policy = VotePolicy(outside="drop_clip")
    (written,) = write_shards(part, context(place, policy=policy))
    (repeated,) = written.outcome.failures
    assert repeated.error_type == "duplicate_id"
    assert repeated.message == "box.tar clip 2: 'c1' came before, in other.tar clip 5"
    (excluded,) = written.outcome.excluded
    assert excluded.message.startswith("box.tar clip 3: ")
    assert written.outcome.inputs == 3


def test_a_repeated_clip_with_a_longer_id_is_kept(place: Location, encode: Encode) -> None:
    repeated = {1: "other.tar clip 5", 2: "other.tar clip 6"}
    part = ContainerShards(box(encode, 3), (("s.parquet", 3),), repeated, {2: ("box/", "-3")})
    (written,) = write_shards(part, context(place))
    rows = read_shard(place, written.entry)
    assert [row.utterance_id for row in rows] == ["c0", "box/c2-3"]
    assert [failure.utterance_id for failure in written.outcome.failures] == ["c1"]


@pytest.mark.parametrize(
    ("ends", "reason"),
    [(1, "box.tar is cut short"), (None, "the file ends before this clip")],
)
def test_a_damaged_file_has_a_failure_for_every_clip_it_was_listed_with(
    place: Location, encode: Encode, ends: int | None, reason: str
) -> None:
    container = box(encode, 1 if ends is None else 4, ends)
    part = ContainerShards(container, (("a.parquet", 2), ("b.parquet", 2)), {})
    first, second = write_shards(part, context(place))
    assert (first.outcome.inputs, second.outcome.inputs) == (2, 2)
    assert (first.entry.rows, second.entry.rows) == (1, 0)
    failures = [*first.outcome.failures, *second.outcome.failures]
    assert [failure.error_type for failure in failures] == ["bad_container"] * 3
    assert [failure.message.split(": ")[0] for failure in failures] == [
        "box.tar clip 2",
        "box.tar clip 3",
        "box.tar clip 4",
    ]
    assert all(reason in failure.message for failure in failures)


def test_soft_labels_are_the_shares_of_votes() -> None:
    row = counted(unread(1), LABELS, VotePolicy(), "votes.csv line 3", 3)
    assert isinstance(row, Utterance)
    assert row.soft_label == (0.5, 0.5)
    assert row.n_votes == 2


def test_what_a_policy_leaves_out_knows_its_place() -> None:
    policy = VotePolicy(outside="drop_clip")
    result = counted(unread(1, vote="ennui"), LABELS, policy, "votes.csv line 3", 3)
    assert isinstance(result, ExcludedInput)
    assert isinstance(result.reason, RowFailure)
    assert result.reason.row == 3
    assert result.reason.message.startswith("votes.csv line 3: ")
    nowhere = counted(unread(1, vote="ennui"), LABELS, policy, "c1.wav", None)
    assert isinstance(nowhere, ExcludedInput)
    assert not isinstance(nowhere.reason, RowFailure)


def test_an_unexpected_error_about_a_clip_is_its_failure(
    tmp_path: Path, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Be it while reading or while encoding, in a file of its own or in a container."""
    listed = [clips(number) for number in range(4)]
    audio = [clip.place.read(clip.name) for clip in listed]
    real_flac, real_measure = work.as_flac, pending.measured_sound

    def flac(data: bytes) -> Any:
        if data == audio[1]:
            raise OverflowError("array is too big")
        return real_flac(data)

    def measure(data: bytes, limits: RecordingLimits) -> Any:
        if data == audio[2]:
            raise KeyError(0)
        return real_measure(data, limits)

    monkeypatch.setattr(work, "as_flac", flac)
    monkeypatch.setattr(pending, "measured_sound", measure)
    rows = tuple(
        replace(clip.utterance, audio=data, sampling_rate=16_000, duration_s=0.25)
        for clip, data in zip(listed, audio, strict=True)
    )
    box = ContainerShards(Box(rows), (("shard-000001.parquet", 4),), {})
    place = Location.parse(str(tmp_path / "shards"))
    [written] = write_shards(ClipShard("shard-000000.parquet", tuple(listed)), context(place))
    [from_box] = write_shards(box, context(place))
    assert [failure.error_type for failure in written.outcome.failures] == [
        "OverflowError",
        "KeyError",
    ]
    assert [failure.utterance_id for failure in written.outcome.failures] == ["c1", "c2"]
    assert "unexpected OverflowError: array is too big" in written.outcome.failures[0].message
    assert [failure.utterance_id for failure in from_box.outcome.failures] == ["c1"]
    assert (written.entry.rows, from_box.entry.rows) == (2, 3)


def test_a_table_that_ends_its_process_costs_its_own_rows(tmp_path: Path) -> None:
    """One file does so while it is listed, one while it is read; the two others are whole."""
    for name in "abcd":
        audio = [{"bytes": CLIP, "path": f"{name}{n}.wav"} for n in range(5)]
        made = pa.table({"audio": audio, "label": [LABELS.names[0]] * 5})
        pq.write_table(made, tmp_path / f"{name}.parquet")
    whole = tables(str(tmp_path), LABELS)
    poisoned = [
        PoisonedTable(one.place, one.name, one.root, one.rules, row=2, also_listed=is_listed)
        for one, is_listed in ((whole[1], False), (whole[2], True))
    ]
    containers = [whole[0], *poisoned, whole[3]]
    scans = [scanned(container, container.name) for container in containers]
    place = Location.parse(str(tmp_path / "shards"))
    with IngestPlan() as plan:
        plan.add_containers(containers, scans, ShardLimits(rows=3, bytes=1 << 30))
        written = [shard for part in plan for shard in write_shards(part, context(place))]
    kept = [row.utterance_id for shard in written for row in read_shard(place, shard.entry)]
    assert kept == [f"a{n}" for n in range(5)] + ["b0", "b1", "c0", "c1"] + [
        f"d{n}" for n in range(5)
    ]
    failures = [failure for shard in written for failure in shard.outcome.failures]
    assert {failure.error_type for failure in failures} == {"bad_container"}
    for name, failure in zip("bbbc", failures, strict=True):  # of c no more than its end is known
        assert f"{name}.parquet cannot be read beyond row 2" in failure.message
        assert "was ended by SIGSEGV" in failure.message
