"""The table of corpora, and the way from a corpus's folder to shards."""

from __future__ import annotations

import tracemalloc

import pytest
from corpus_folder import CorpusFolder, clip

from raypipe.corpora import CORPORA, ingest_corpus, load_corpus, selection
from raypipe.corpora.lines import json_entries
from raypipe.errors import ConfigError, CorpusError
from raypipe.records import Utterance
from raypipe.shards import read_index, read_shard
from raypipe.store.location import Location
from raypipe.store.parquet import from_parquet_bytes
from raypipe.votes import VotePolicy


@pytest.mark.parametrize("name", CORPORA)
def test_every_corpus_says_what_it_is(name: str) -> None:
    corpus = load_corpus(name)
    assert corpus.name == name
    assert corpus.title
    assert corpus.licence
    for chosen in corpus.selections.values():
        assert chosen.note
        # Corpora know annoyed from anger; users' manifests need not.
        assert not chosen.policy.aliases


def test_unknown_names_and_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown corpus 'tess'; known: crema-d"):
        load_corpus("tess")
    with pytest.raises(ConfigError, match=r"option modality: .*'voice'.*options: modality"):
        load_corpus("crema-d", {"modality": "smell"})
    with pytest.raises(ConfigError, match="option face: "):
        load_corpus("crema-d", {"face": "yes"})
    with pytest.raises(ConfigError, match="no selection '5531'; it has: 4-unanimous-set"):
        selection(load_corpus("iemocap"), "5531")


def test_options_may_come_as_text() -> None:
    corpus = load_corpus("msp-podcast", {"withheld": "true"})
    assert corpus.model_dump() == {"withheld": True}


@pytest.mark.parametrize("name", CORPORA)
def test_an_empty_folder_is_refused(folder: CorpusFolder, name: str) -> None:
    with pytest.raises(CorpusError, match="there is nothing in"):
        folder.read(name)


@pytest.mark.parametrize("name", ["crema-d", "iemocap", "meld", "msp-improv", "msp-podcast"])
def test_another_corpus_s_folder_is_refused(folder: CorpusFolder, name: str) -> None:
    folder.clips("wav", "03a01Wa")
    with pytest.raises(CorpusError, match="there is no "):
        folder.read(name)


def ravdess(folder: CorpusFolder) -> None:
    folder.clips("Actor_01", "03-01-01-01-01-01-01", "03-01-02-01-01-01-01", "wrong")


def test_a_corpus_becomes_shards(folder: CorpusFolder, place: Location) -> None:
    ravdess(folder)
    shards = place.child("shards")
    index = ingest_corpus(load_corpus("ravdess"), folder.location, shards)
    assert (index.rows, index.failures, index.excluded, index.dataset) == (2, 1, 0, "ravdess")
    assert index.fixed_sentences
    assert index.source.endswith("(channel=speech)")
    [entry] = read_index(shards).shards
    rows = [row for row in read_shard(shards, entry) if isinstance(row, Utterance)]
    assert [row.plurality for row in rows] == ["neutral", "calm"]
    [error] = from_parquet_bytes(shards.read("ingest_errors.parquet")).to_pylist()
    assert error["message"].startswith("Actor_01/wrong.wav: ")


def test_labels_and_policy_are_chosen_per_run(folder: CorpusFolder, tmp_path: object) -> None:
    ravdess(folder)
    corpus = load_corpus("ravdess")
    merged = VotePolicy(merges={"calm": "neutral"}, aliases=False, clips="voted")
    four = selection(load_corpus("iemocap")).labels
    one = ingest_corpus(
        corpus, folder.location, folder.location.child("out", "1"), labels=four, policy=merged
    )
    assert (one.rows, one.excluded, one.labels) == (2, 0, four.names)
    apart = merged.model_copy(update={"merges": {}})
    two = ingest_corpus(
        corpus, folder.location, folder.location.child("out", "2"), labels=four, policy=apart
    )
    assert (two.rows, two.excluded, two.policy) == (1, 1, apart)
    assert one.fingerprint != two.fingerprint


def test_a_corpus_in_object_storage_is_read(folder: CorpusFolder, bucket: Location) -> None:
    bucket.write("Actor_01/03-01-01-01-01-01-01.wav", clip())
    [found] = load_corpus("ravdess").read(bucket)
    assert isinstance(found, Utterance)


def test_a_corpus_is_read_a_few_clips_at_a_time(folder: CorpusFolder) -> None:
    long, count = clip(duration_s=4.0), 100
    for number in range(count):
        actor, take = 1 + number % 24, number // 24
        stem = f"03-01-0{1 + take}-01-01-01-{actor:02d}"
        folder.file(f"{stem}.wav", long)
    tracemalloc.start()
    try:
        found = sum(1 for _ in load_corpus("ravdess").read(folder.location))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == count
    assert peak < 40 * len(long) < count * len(long) / 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "line 1: expected '{'"),
        ("", "line 1: expected '{'"),
        ('{"a": 1,\n"b": }', "line 2: not JSON"),
        ('{"a": 1\n"b": 2}', "line 2: expected ','"),
        ('{"a" 1}', "line 1: expected ':'"),
        ('{"a": 1', "line 1: expected ','"),
    ],
)
def test_torn_json_is_told_with_its_line(text: str, message: str) -> None:
    with pytest.raises(CorpusError, match=rf"f\.json {message}"):
        list(json_entries(text, "f.json"))


def test_json_entries_know_their_lines() -> None:
    text = '{\n "a": {"x":\n 1},\n "b": 2\n}'
    assert list(json_entries(text, "f.json")) == [(2, "a", {"x": 1}), (4, "b", 2)]
    assert list(json_entries(" { } ", "f.json")) == []
