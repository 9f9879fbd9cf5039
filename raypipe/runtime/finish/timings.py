"""How long a run's questions took: kept beside the tables, as it differs every time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from raypipe.runtime.finish.partition import model_folder
from raypipe.store.location import Location

TIMINGS = "timings"
"""Folder of a run's output with one JSON file per model and shard."""


def read_timings(tables: Location, models: Sequence[str]) -> list[dict[str, Any]]:
    """Sums over all shards, those of earlier attempts included.

    Returns:
        By model and question: ``asked``, inputs that were answered, and ``seconds`` of the
        engine, wall time, summed over its actors.
    """
    rows = []
    for model in models:
        found: dict[str, dict[str, Any]] = {}
        place = tables.child(TIMINGS, model_folder(model))
        for name in place.list(".json"):
            for one in json.loads(place.read(name)):
                row = {"model": model, "question": one["question"], "asked": 0, "seconds": 0.0}
                row = found.setdefault(one["question"], row)
                row["asked"] += one["asked"]
                row["seconds"] += one["seconds"]
        rows += [{**row, "seconds": round(row["seconds"], 3)} for row in found.values()]
    return rows
