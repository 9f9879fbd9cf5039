"""Times of questions, summed over the files of all shards and attempts."""

from __future__ import annotations

import json

from raypipe.runtime.finish.timings import TIMINGS, read_timings
from raypipe.store.location import Location
from raypipe.store.run_record import QuestionTime


def keep(place: Location, name: str, *rows: tuple[str, int, float]) -> None:
    document = [
        {"question": question, "asked": asked, "seconds": seconds}
        for question, asked, seconds in rows
    ]
    place.write(f"{TIMINGS}/{name}", json.dumps(document).encode())


def test_times_are_summed_by_model_and_question(place: Location) -> None:
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
