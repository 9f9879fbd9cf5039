"""How long a run's questions took: kept beside the tables, as it differs every time."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence

from raypipe.runtime.finish.partition import model_folder
from raypipe.store.location import Location
from raypipe.store.run_record import QuestionTime

TIMINGS = "timings"
"""Folder of a run's output with one JSON file per model and shard."""


def read_timings(tables: Location, models: Sequence[str]) -> list[QuestionTime]:
    """Times of every model's questions, summed over all shards, earlier attempts included."""
    times = []
    for model in models:
        asked: dict[str, int] = defaultdict(int)
        seconds: dict[str, float] = defaultdict(float)
        place = tables.child(TIMINGS, model_folder(model))
        for name in place.list(".json"):
            for row in json.loads(place.read(name)):
                asked[row["question"]] += row["asked"]
                seconds[row["question"]] += row["seconds"]
        times += [
            QuestionTime(
                model=model, question=name, asked=asked[name], seconds=round(seconds[name], 3)
            )
            for name in asked
        ]
    return times
