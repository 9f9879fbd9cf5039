"""Ids of containers' clips that come again, and containers that cannot be listed to their end."""

from __future__ import annotations

import dataclasses
import time

import pytest
from boxes import HERE, TornBox, box, derived

from raypipe.corpora.containers import ClipEntry, container_labels
from raypipe.errors import CorpusError
from raypipe.runtime.ingest.scan import (
    check_any_container,
    longer_ids,
    repeated_clips,
    scanned,
)


def test_ids_that_come_again_are_found_across_containers() -> None:
    boxes = [box("x", "a", None, "b", "b"), box("y", None, "c"), box("z", "c", "a", "d")]
    found = repeated_clips(boxes, [scanned(one, one.name) for one in boxes])
    assert found == [{3: "x clip 3"}, {}, {0: "y clip 2", 1: "x clip 1"}]
    assert repeated_clips([], []) == []


def test_files_of_one_name_in_several_containers_keep_their_clips() -> None:
    boxes = [
        derived("x.tar", "a", "b", "b", "x/a"),
        derived("y.tar", "a", None, "c"),
        box("z.tar", "a", "d"),  # its ids were given
    ]
    below = [dataclasses.replace(one, place=HERE.child(one.name[0])) for one in boxes]
    scans = [scanned(one, label) for one, label in zip(boxes, container_labels(boxes), strict=True)]
    repeated = repeated_clips(boxes, scans)
    assert longer_ids(boxes, scans, repeated) == [{2: ("x/", "-3")}, {0: ("y/", "")}, {}]
    assert repeated[2] == {0: "x.tar clip 1"}
    assert container_labels(below) == ["x/x", "y/y", "z/z"]
    assert container_labels([boxes[0]]) == ["x"]


def test_a_longer_id_that_is_taken_is_not_given() -> None:
    boxes = [box("x.tar", "a", "y/a"), derived("y.tar", "a", "b")]
    scans = [scanned(one, label) for one, label in zip(boxes, container_labels(boxes), strict=True)]
    assert longer_ids(boxes, scans, repeated_clips(boxes, scans)) == [{}, {}]


def test_many_containers_whose_clips_are_counted_from_0_take_no_square_of_time() -> None:
    """A square of 60,000 clips would be minutes."""
    names = [f"{number:06d}" for number in range(300)]
    boxes = [derived(f"{shard}.tar", *names) for shard in range(200)]
    scans = [scanned(one, label) for one, label in zip(boxes, container_labels(boxes), strict=True)]
    started = time.process_time()
    longer = longer_ids(boxes, scans, repeated_clips(boxes, scans))
    assert time.process_time() - started < 10
    assert [len(ids) for ids in longer] == [0, *[300] * 199]


def test_a_container_counts_as_far_as_it_can_be_listed() -> None:
    torn, lost = TornBox("t", (ClipEntry("a", 5),)), TornBox("l", ())
    scan = scanned(torn, "t")
    assert (scan.sizes.tolist(), scan.fault) == ([5, 0], "t is torn")
    assert scan.digests[1] == b""
    check_any_container([scan, scanned(lost, "l")])
    with pytest.raises(CorpusError, match="l is torn"):
        check_any_container([scanned(lost, "l"), scanned(lost, "l")])
