"""Results for the inputs of a shard, as kept in its footer."""

from __future__ import annotations

import json

from raypipe.records import Failure
from raypipe.runtime.ingest.outcome import ShardOutcome
from raypipe.shards import RowFailure

FULL = ShardOutcome(
    inputs=6,
    duration_s=3.25,
    votes=9,
    datasets=["a", "b"],
    kept_original={"WAV/FLOAT": 1, "OGG/VORBIS": 2},
    failures=[
        RowFailure("u1", "ingest", "odd", "votes.csv line 7: odd é", 7),
        Failure(None, "ingest", "missing_id", "a file"),
    ],
    excluded=[RowFailure("u2", "ingest", "outside_label", "line 8", 8)],
)


def test_an_outcome_comes_back_from_a_footer_as_it_was() -> None:
    for outcome in (FULL, ShardOutcome()):
        assert ShardOutcome.from_json(outcome.as_json()) == outcome


def test_failures_come_back_as_what_they_were() -> None:
    first, second = ShardOutcome.from_json(FULL.as_json()).failures
    assert isinstance(first, RowFailure)
    assert first.row == 7
    assert not isinstance(second, RowFailure)


def test_the_order_in_which_formats_were_met_changes_no_byte() -> None:
    """Which thread reads a recording first must not show in a shard."""
    other = ShardOutcome(kept_original={"OGG/VORBIS": 2, "WAV/FLOAT": 1})
    same = ShardOutcome(kept_original={"WAV/FLOAT": 1, "OGG/VORBIS": 2})
    assert other.as_json() == same.as_json()


def test_a_footer_is_json_that_other_programs_read() -> None:
    document = json.loads(FULL.as_json())
    assert document["inputs"] == 6
    assert document["failures"][0] == ["u1", "odd", "votes.csv line 7: odd é", 7]
