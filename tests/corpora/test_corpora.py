"""The table of corpora, and the way from a corpus's folder to shards."""

from __future__ import annotations

import re
import tracemalloc
from pathlib import Path

import pytest
from corpus_folder import CorpusFolder, clip

import raypipe.corpora
from raypipe.corpora import CORPORA, load_corpus, selection
from raypipe.corpora.lines import json_entries
from raypipe.errors import ConfigError, CorpusError
from raypipe.records import Utterance
from raypipe.store.location import Location


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


def test_every_adapter_has_its_line_and_every_corpus_a_test_of_its_own() -> None:
    folder = Path(raypipe.corpora.__file__).parent
    adapters = {
        f"raypipe.corpora.{path.stem}:{name}"
        for path in folder.glob("*.py")
        for name in re.findall(r"^class (\w+)\(Corpus\):", path.read_text(), flags=re.M)
    }
    assert adapters == set(CORPORA.values()), "a line in CORPORA for every adapter"
    for place in CORPORA.values():
        module = place.partition(":")[0].rpartition(".")[2]
        test = Path(__file__).parent / f"test_{module}.py"
        assert test.exists(), f"{place}: tests/corpora/{test.name} is missing"


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


def test_a_corpus_in_object_storage_is_read(folder: CorpusFolder, bucket: Location) -> None:
    bucket.write("Actor_01/03-01-01-01-01-01-01.wav", clip())
    [found] = load_corpus("ravdess").read(bucket)
    assert isinstance(found, Utterance)


def test_a_corpus_is_read_a_few_clips_at_a_time(folder: CorpusFolder) -> None:
    long, count = clip(duration_s=4.0), 192
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
    # Sixteen recordings ahead, and eight threads that each have one's samples for its marks.
    assert peak < 60 * len(long) < count * len(long) / 2


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
