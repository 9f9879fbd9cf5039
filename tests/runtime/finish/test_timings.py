"""Times of questions, kept as shards are done and summed over all attempts."""

from __future__ import annotations

import json

import pytest

from raypipe.errors import ShardError
from raypipe.runtime.finish.timings import TIMINGS, KeptTimings, Timing, read_timings
from raypipe.store.location import Location
from raypipe.store.run_record import QuestionTime


def keep(place: Location, name: str, *rows: tuple[str, int, float]) -> None:
    document = [
        {"question": question, "asked": asked, "seconds": seconds}
        for question, asked, seconds in rows
    ]
    place.write(f"{TIMINGS}/{name}", json.dumps(document).encode())


def test_files_of_shards_by_earlier_versions_are_summed(place: Location) -> None:
    keep(place, "model=x/shard-0.parquet.json", ("greedy", 3, 1.25), ("verify", 2, 0.5))
    keep(place, "model=x/shard-1.parquet.json", ("greedy", 4, 0.7504))
    keep(place, "model=a%2Fb/shard-0.parquet.json", ("greedy", 1, 9.0))
    assert read_timings(place, ["x", "a/b"]) == [
        QuestionTime(model="x", question="greedy", asked=7, seconds=2.0),
        QuestionTime(model="x", question="verify", asked=2, seconds=0.5),
        QuestionTime(model="a/b", question="greedy", asked=1, seconds=9.0),
    ]


def test_a_model_that_was_asked_nothing_has_no_times(place: Location) -> None:
    keep(place, "model=x/shard-0.parquet.json")
    assert read_timings(place, ["x", "y"]) == []


def test_attempts_go_on_from_what_is_kept(place: Location) -> None:
    clock = iter(range(100)).__next__
    with KeptTimings(place, "x", clock) as kept:
        kept.add([Timing("greedy", 3, 1.25), Timing("verify", 2, 0.5)])

    def interrupted() -> None:
        with KeptTimings(place, "x", clock) as kept:
            kept.add([Timing("greedy", 4, 0.75)])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with KeptTimings(place, "x", clock):
        pass  # nothing was asked this time
    assert place.list(".json") == [f"{TIMINGS}/model=x/timings.json"]
    assert read_timings(place, ["x"]) == [
        QuestionTime(model="x", question="greedy", asked=7, seconds=2.0),
        QuestionTime(model="x", question="verify", asked=2, seconds=0.5),
    ]


def test_times_that_have_changed_since_are_refused(place: Location) -> None:
    with KeptTimings(place, "x") as kept:
        kept.add([Timing("greedy", 3, 1.25)])
    name = f"{TIMINGS}/model=x/timings.json"
    place.write(name, place.read(name).replace(b"1.25", b"1.75"))
    with pytest.raises(ShardError, match=r"timings\.json has changed since it was written"):
        read_timings(place, ["x"])


def test_the_first_shard_is_written_down_at_once_and_others_now_and_then(place: Location) -> None:
    now = [0.0]
    kept = KeptTimings(place, "x", lambda: now[0])

    def asked() -> int:
        (row,) = read_timings(place, ["x"])
        return row.asked

    kept.add([Timing("greedy", 1, 0.1)])
    assert asked() == 1
    now[0] = 29.0
    kept.add([Timing("greedy", 1, 0.1)])
    assert asked() == 1
    now[0] = 30.0
    kept.add([Timing("greedy", 1, 0.1)])
    assert asked() == 3
