"""Where the tests' corpora lie and how they get there."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from corpus_folder import CorpusFolder

from raypipe.labels import LabelSet
from raypipe.records import Failure, Utterance
from raypipe.shards import ShardIndex, write_shards
from raypipe.store.location import Location
from raypipe.votes import VotePolicy

sys.path.insert(0, str(Path(__file__).parent))  # helpers beside this file are plain modules

from small_corpus import LABELS, Write


@pytest.fixture
def folder(tmp_path: Path) -> CorpusFolder:
    """An empty corpus folder."""
    return CorpusFolder(tmp_path / "corpus")


@pytest.fixture
def shards(tmp_path: Path) -> Location:
    """Where shards of a test go."""
    return Location.parse(str(tmp_path / "shards"))


@pytest.fixture
def write(shards: Location) -> Write:
    """Write a corpus as shards."""

    def written(
        rows: Iterable[Utterance | Failure],
        policy: VotePolicy | None = None,
        labels: LabelSet = LABELS,
        place: Location = shards,
        rows_per_shard: int = 3,
    ) -> ShardIndex:
        return write_shards(
            rows, place, labels, rows_per_shard=rows_per_shard, policy=policy, source="a test"
        )

    return written
