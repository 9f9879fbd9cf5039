"""Real speech goes all the way: the 408 Emo-DB clips, where they lie beside the repository.

Every clip of that copy is exactly 2 s long, so none is over the 8 s that tiny-alm can hear and not
one error row is due. (In the original recordings a clip over 8 s would be one, ``too_long``.)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raypipe.corpora import load_corpus, selection
from raypipe.reporting.corpus.inspect import inspect_shards
from raypipe.shards import write_shards
from raypipe.store.location import Location

CLIPS = 408
# By the letter in the clips' names, counted with ls.
LABELS = {
    "anger": 100,
    "boredom": 58,
    "disgust": 30,
    "fear": 54,
    "happiness": 54,
    "neutral": 63,
    "sadness": 49,
}


@pytest.mark.usefixtures("ray_cluster")
def test_all_emodb_clips_run_without_an_error_row(
    shared_data: Path, tmp_path: Path, runs: Any
) -> None:
    corpus = load_corpus("emodb")
    chosen = selection(corpus)
    shards = Location.parse(str(tmp_path / "shards"))
    index = write_shards(
        corpus.read(Location.parse(str(shared_data / "emodb"))),
        shards,
        chosen.labels,
        rows_per_shard=102,
        fixed_sentences=corpus.fixed_sentences,
        policy=chosen.policy,
        source=corpus.title,
    )
    assert (index.rows, index.failures, index.excluded) == (CLIPS, 0, 0)

    found = inspect_shards(shards)
    assert found.durations.spread is not None
    assert (found.durations.spread.minimum, found.durations.spread.maximum) == (2.0, 2.0)
    assert found.sampling_rates == {22_050: CLIPS}
    assert {one.label: one.plurality for one in found.labels} == LABELS

    record = runs.run(
        tmp_path / "shards",
        tmp_path / "run",
        decoding={"beam_count": 0, "max_new_tokens": 16},
        strategies=["greedy", "token_softmax"],
        metrics={"replicates": 100},
        resources={"batch_size": 34},
    )
    assert record.done_counts.input == record.done_counts.predicted == CLIPS
    assert record.done_counts.errors == 0
    assert runs.rows(tmp_path / "run", "FROM errors") == []
    [told] = runs.rows(
        tmp_path / "run",
        "SELECT count(*) AS rows, count(DISTINCT utterance_id) AS clips, "
        "bool_and(votes_union = [plurality]) AS same FROM predictions",
    )
    assert told == {"rows": 2 * CLIPS, "clips": CLIPS, "same": True}
