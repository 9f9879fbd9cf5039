"""What goes into which shard is known before any audio is read, and is the same every time."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest
from boxes import HERE, TornBox, box

from raypipe.config import checked
from raypipe.corpora.containers import ClipEntry
from raypipe.corpora.pending import PendingClip
from raypipe.errors import ConfigError, FingerprintError
from raypipe.labels import LabelSet
from raypipe.records import Failure, Utterance, Vote
from raypipe.runtime.ingest.config import IngestConfig
from raypipe.runtime.ingest.plan import (
    IngestPlan,
    ShardLimits,
    claim,
    prepare_ingest,
    read_request,
    refuse_another,
)
from raypipe.runtime.ingest.scan import scanned
from raypipe.runtime.ingest.work import ClipShard, ContainerShards, ExcludedInput
from raypipe.shards import RowFailure
from raypipe.store.location import Location
from raypipe.votes import VotePolicy

LABELS = LabelSet(("anger", "sadness"))


def clip(number: int, size: int | None = 10, vote: str = "anger") -> PendingClip:
    utterance = Utterance(f"c{number}", "d", None, None, b"", 0, 0.0, votes=(Vote("a", (vote,)),))
    return PendingClip(
        utterance, HERE, f"c{number}.wav", "votes.csv", number, f"c{number}.wav", size
    )


def bad(number: int) -> Failure:
    return RowFailure(f"c{number}", "ingest", "odd", f"votes.csv line {number}: odd", number)


def parts(
    plan: IngestPlan, *clips: PendingClip | Failure, rows: int = 3, size: int = 1000
) -> list[ClipShard]:
    plan.add_clips(clips, LABELS, VotePolicy(outside="drop_clip"), ShardLimits(rows, size))
    found = list(plan)
    assert all(isinstance(one, ClipShard) for one in found)
    return [one for one in found if isinstance(one, ClipShard)]


def ids(part: ClipShard) -> list[str | None]:
    return [
        one.utterance.utterance_id if isinstance(one, PendingClip) else "-" for one in part.inputs
    ]


def test_shards_close_by_rows_and_bytes() -> None:
    with IngestPlan() as plan:
        by_rows = parts(plan, *(clip(number) for number in range(7)))
        assert [one.name for one in by_rows] == [f"shard-00000{n}.parquet" for n in range(3)]
        assert [len(one.inputs) for one in by_rows] == [3, 3, 1]
        assert (plan.inputs, plan.parts) == (7, 3)
    with IngestPlan() as plan:
        clips = [clip(0, 999), clip(1, 1), clip(2, 5000), clip(3, None), clip(4)]
        assert [ids(one) for one in parts(plan, *clips)] == [["c0", "c1"], ["c2"], ["c3", "c4"]]


def test_failures_open_no_shard_of_their_own() -> None:
    with IngestPlan() as plan:
        found = parts(plan, bad(0), clip(1), clip(2), bad(3), clip(4), bad(5), bad(6))
        assert [ids(one) for one in found] == [["-", "c1", "c2", "-", "c4", "-", "-"]]
    with IngestPlan() as plan:  # unless there are more than a footer should hold
        found = parts(plan, *(bad(number) for number in range(7_000)))
        assert [len(one.inputs) for one in found] == [5_000, 2_000]


def test_what_the_policy_leaves_out_knows_its_line_and_is_never_read() -> None:
    with IngestPlan() as plan:
        [part] = parts(plan, clip(1), clip(2, vote="ennui"))
    left_out = part.inputs[1]
    assert isinstance(left_out, ExcludedInput)
    assert isinstance(left_out.reason, RowFailure)
    assert (left_out.reason.row, left_out.reason.error_type) == (2, "outside_label")
    assert left_out.reason.message.startswith("votes.csv line 2: voted for outside")


def test_the_digest_changes_with_everything_that_is_listed() -> None:
    def digest(*clips: PendingClip | Failure) -> str:
        with IngestPlan() as plan:
            parts(plan, *clips)
            return plan.digest

    moved = dataclasses.replace(clip(1), place=Location("/elsewhere"))
    assert digest(clip(1), bad(2)) == digest(moved, bad(2))
    other = [
        (clip(1), bad(2)),
        (clip(1),),
        (bad(2), clip(1)),
        (clip(1, size=11), bad(2)),
        (clip(1, vote="sad"), bad(2)),
        (clip(1), bad(3)),
    ]
    assert len({digest(*clips) for clips in other}) == len(other)


def test_a_shard_never_holds_clips_of_two_containers() -> None:
    boxes = [box("x", "a", "b", "c", "d"), box("y"), box("z", "e")]
    with IngestPlan() as plan:
        plan.add_containers(boxes, [scanned(one, one.name) for one in boxes], ShardLimits(3, 1000))
        first, second = plan
        assert (plan.inputs, plan.parts) == (5, 2)
    assert isinstance(first, ContainerShards)
    assert isinstance(second, ContainerShards)
    assert first.shards == (("shard-000000.parquet", 3), ("shard-000001.parquet", 1))
    assert second.shards == (("shard-000002.parquet", 1),)
    assert second.container == boxes[2]


def test_a_damaged_container_costs_what_cannot_be_read_of_it() -> None:
    torn = TornBox("t", (ClipEntry("a", 5),))
    with IngestPlan() as plan:
        plan.add_containers([torn], [scanned(torn, "t")], ShardLimits(3, 1000))
        assert plan.inputs == 2


def settings(tmp_path: Path, **changes: object) -> Mapping[str, object]:
    document = {"corpus": "emodb", "source": "x", "output": str(tmp_path / "shards"), **changes}
    return prepare_ingest(checked(IngestConfig, document, "test")).settings


def test_other_limits_and_places_make_another_ingest(tmp_path: Path) -> None:
    """The usual ones do not stand there: ingests that began before there were any go on."""
    usual = settings(tmp_path)
    assert not {"limits", "allow"} & {*usual}
    assert settings(tmp_path, limits={"max_duration_s": 14_400}) == usual
    assert settings(tmp_path, limits={"max_bytes": 9})["limits"] == {"max_bytes": 9}
    assert settings(tmp_path, allow=["/b", "s3://c/d"])["allow"] == ["/b", "s3://c/d"]
    with pytest.raises(ConfigError, match="not http://"):
        settings(tmp_path, allow=["http://host/x"])


def test_what_is_read_knows_where_it_may_lead(tmp_path: Path) -> None:
    document = {"corpus": "emodb", "source": "x", "output": "y", "allow": ["/b", "s3://c/d/"]}
    document["source_endpoint"] = "http://127.0.0.1:9"
    config = checked(IngestConfig, document, "test")
    request = read_request(config, LABELS, VotePolicy())
    assert [place.uri for place in request.allow] == ["/b", "s3://c/d"]
    assert request.allow[1].endpoint == request.endpoint == "http://127.0.0.1:9"


def test_a_place_is_claimed_once(place: Location) -> None:
    settings = {"audio": "flac", "labels": ["anger", "sadness"]}
    with IngestPlan() as plan, IngestPlan() as other:
        parts(plan, clip(1))
        parts(other, clip(1), clip(2))
        refuse_another(place, settings)
        fingerprint = claim(place, settings, plan)
        refuse_another(place, settings)
        assert claim(place, settings, plan) == fingerprint
        with pytest.raises(FingerprintError, match=r"of 1 inputs .* now there are 2"):
            claim(place, settings, other)
    changed = {**settings, "audio": "original"}
    with pytest.raises(FingerprintError, match='audio was "flac", is now "original"'):
        refuse_another(place, changed)


def test_shards_of_another_program_are_left_alone(place: Location) -> None:
    place.write("shards.json", b"{}")
    with pytest.raises(FingerprintError, match="another program"):
        refuse_another(place, {})
