"""The corpus's policy reaches the predictions: its votes mean there what they mean in its index."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raypipe.labels import LABEL_SETS
from raypipe.records import Vote
from raypipe.shards import write_shards
from raypipe.store.location import Location
from raypipe.tiny_alm.corpus import synthetic_utterances
from raypipe.votes import VotePolicy

VOTES = (
    Vote("a", ("sadness", "annoyed")),  # an alias of anger, but a word of its own in this corpus
    Vote("b", ("excitement",)),
    Vote("self:c", ("fear",)),
)


@pytest.mark.usefixtures("ray_cluster")
def test_the_union_of_votes_follows_the_index(tmp_path: Path, runs: Any) -> None:
    [row] = synthetic_utterances(1, seed=3, split="test")
    write_shards(
        [replace(row, votes=VOTES, soft_label=None, plurality=None)],
        Location.parse(str(tmp_path / "shards")),
        LABEL_SETS["crema-d-6"],
        fixed_sentences=True,
        policy=VotePolicy(aliases=False, merges={"excitement": "happiness"}),
        source="a test",
    )
    runs.run(
        tmp_path / "shards",
        tmp_path / "run",
        decoding={"beam_count": 0, "max_new_tokens": 8},
        strategies=["token_softmax"],
        metrics={"replicates": 100},
    )
    [told] = runs.rows(tmp_path / "run", "SELECT votes_union, soft_label FROM predictions")
    assert told["votes_union"] == ["happiness", "sadness"]
    assert told["soft_label"] == [0.0, 0.0, 0.0, 0.5, 0.0, 0.5]
