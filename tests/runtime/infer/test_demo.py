"""The demo's corpus and the configs of its four kinds."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from raypipe.runtime.infer.demo import (
    demo_config,
    make_corpus,
    write_spoken_corpus,
    write_typed_corpus,
)
from raypipe.shards import read_index, read_shard
from raypipe.store.location import Location
from raypipe.strategies import STRATEGIES, Fitted
from raypipe.tiny_alm.spoken import sentence
from raypipe.tiny_alm.typed import typed_votes

KINDS = [(False, False), (True, False), (False, True), (True, True)]


@pytest.mark.parametrize(
    ("silence", "everything", "folder"),
    [
        (False, False, "demo"),
        (True, False, "demo/silence"),
        (False, True, "demo/everything"),
        (True, True, "demo/silence-everything"),
    ],
)
def test_every_kind_of_demo_has_a_folder_of_its_own(
    silence: bool, everything: bool, folder: str
) -> None:
    config = demo_config("shards", Path("demo"), silence=silence, everything=everything)
    assert Path(config.output) == Path(folder)
    assert config.input.shards == "shards"
    assert config.audio.replace_with == ("silence" if silence else None)
    assert ("silence" in config.name) == silence


def test_everything_is_every_strategy_that_reads_distributions_and_needs_no_fit() -> None:
    one_emotion = {"open", "closed", "letters", "label_score", "label_contextual"}
    drawn = {"sample_mean"}
    fitted = {name for name, strategy in STRATEGIES.items() if isinstance(strategy, Fitted)}
    everything = {*demo_config("s", Path("o"), everything=True).strategies}
    assert everything == {*STRATEGIES} - one_emotion - drawn - fitted
    assert {*demo_config("s", Path("o")).strategies} < {*STRATEGIES}


def test_the_model_is_the_bundled_one() -> None:
    for silence, everything in KINDS:
        config = demo_config("s", Path("o"), silence=silence, everything=everything)
        assert (config.model.engine, config.model.path) == ("transformers", "tiny-alm")


def test_a_corpus_is_made_once_and_says_what_it_holds(tmp_path: Path) -> None:
    console = Console(file=io.StringIO())
    place = make_corpus(tmp_path, 3, 7, console)
    assert place == str(tmp_path / "synthetic-3-seed7")
    before = {path: path.stat().st_mtime_ns for path in Path(place).iterdir()}
    assert make_corpus(tmp_path, 3, 7, console) == place
    assert {path: path.stat().st_mtime_ns for path in Path(place).iterdir()} == before
    location = Location.parse(place)
    index = read_index(location)
    assert (index.rows, index.fixed_sentences) == (3, True)
    rows = [row for entry in index.shards for row in read_shard(location, entry)]
    assert all(len(row.soft_label) == len(index.labels) == 6 for row in rows)


def test_another_seed_is_another_corpus(tmp_path: Path) -> None:
    console = Console(file=io.StringIO())
    first, second = (make_corpus(tmp_path, 2, seed, console) for seed in (1, 2))
    indexes = [read_index(Location.parse(place)) for place in (first, second)]
    assert indexes[0].fingerprint != indexes[1].fingerprint


def test_the_corpus_with_typed_descriptions_has_three_splits_and_is_made_once(
    tmp_path: Path,
) -> None:
    console = Console(file=io.StringIO())
    place = write_typed_corpus(tmp_path, console, train=3, dev=1, test=1, seed=2)
    assert place == str(tmp_path / "typed-3-1-1-seed2")
    location = Location.parse(place)
    index = read_index(location)
    rows = [row for entry in index.shards for row in read_shard(location, entry)]
    assert [row.split for row in rows] == ["train"] * 3 + ["development", "test"]
    assert rows[1].votes == typed_votes(1, "train", seed=2)
    before = Path(place, "shards.json").stat().st_mtime_ns
    assert write_typed_corpus(tmp_path, console, train=3, dev=1, test=1, seed=2) == place
    assert Path(place, "shards.json").stat().st_mtime_ns == before


def test_the_corpus_that_says_words_has_transcripts_and_eight_labels(tmp_path: Path) -> None:
    console = Console(file=io.StringIO())
    place = write_spoken_corpus(tmp_path, console, train=2, dev=1, test=1)
    assert place == str(tmp_path / "spoken-2-1-1-seed0")
    location = Location.parse(place)
    index = read_index(location)
    assert len(index.labels) == 8
    assert not index.fixed_sentences
    rows = [row for entry in index.shards for row in read_shard(location, entry)]
    assert [row.split for row in rows] == ["train", "train", "development", "test"]
    assert rows[3].transcript == sentence(0, "test")
