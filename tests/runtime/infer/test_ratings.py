"""The corpus's own ratings against the scale that a run states."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from in_process import InProcess, utterance

from raypipe.errors import ConfigError
from raypipe.records import AttributeScales
from raypipe.runtime.infer.ratings import check_ratings
from raypipe.shards import read_index
from raypipe.store.location import Location

SCALES = AttributeScales(asked=(1.0, 7.0), corpus=(1.0, 5.0))


@pytest.fixture
def corpus(fake_engine: None, tmp_path: Path) -> tuple[Location, list[str]]:
    """Two shards; valence goes from 1 to 5, dominance up to 5.5, arousal is not rated."""
    made = InProcess(tmp_path)
    rows = [
        replace(utterance(f"u{number}"), valence=1.0 + number, dominance=3.5 + number / 2)
        for number in range(5)
    ]
    made.write(*rows, rows_per_shard=3)
    place = Location.parse(str(made.shards))
    return place, [entry.name for entry in read_index(place).shards]


def test_ratings_beyond_the_scale_are_refused_with_their_shard(
    corpus: tuple[Location, list[str]],
) -> None:
    place, names = corpus
    message = r"dominance goes from 5 to 5\.5 in .*, the scale from 1 to 5$"
    with pytest.raises(ConfigError, match=message):
        check_ratings(SCALES, place, names)


def test_ratings_on_the_scale_are_taken(corpus: tuple[Location, list[str]]) -> None:
    place, names = corpus
    check_ratings(AttributeScales((1.0, 7.0), (1.0, 7.0)), place, names)
    check_ratings(SCALES, place, names[:1])


def test_nothing_is_read_where_nobody_is_asked(tmp_path: Path) -> None:
    check_ratings(None, Location.parse(str(tmp_path / "nowhere")), ["s.parquet"])


def test_what_cannot_be_read_is_left_to_what_reads_it_whole(tmp_path: Path) -> None:
    (tmp_path / "s.parquet").write_bytes(b"no Parquet")
    check_ratings(SCALES, Location.parse(str(tmp_path)), ["s.parquet", "missing.parquet"])
