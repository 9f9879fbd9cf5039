"""Hugging Face's AudioFolder: with a table beside the recordings, or sorted into labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from corpus_folder import CLIP, CorpusFolder

from raypipe.corpora.audio_folder import pending_audio_folder
from raypipe.corpora.pending import read_ahead
from raypipe.corpora.readers import ReadRequest
from raypipe.corpora.sources import open_source
from raypipe.errors import CorpusError
from raypipe.labels import LabelSet
from raypipe.records import Failure, Utterance
from raypipe.store.location import Location
from raypipe.votes import VotePolicy

LABELS = LabelSet(("anger", "happiness", "sadness"))


def read(place: str, **options: Any) -> tuple[dict[str, Utterance], list[Failure]]:
    rows = list(read_ahead(pending_audio_folder(place, LABELS, **options)))
    found = {row.utterance_id: row for row in rows if isinstance(row, Utterance)}
    return found, [row for row in rows if isinstance(row, Failure)]


def test_a_table_for_each_split(folder: CorpusFolder) -> None:
    folder.file(
        "train/metadata.csv",
        "file_name,label,transcription,speaker_id,valence\n"
        'a.wav,angry,"yes, really",7,2.5\nsub/b.wav,sad,,,\n',
    )
    rows = [
        {"file_name": "a.wav", "votes": {"happy": 2}},
        {"file_name": "c.wav", "id": "mine", "split": "held out"},
    ]
    folder.file("test/metadata.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows))
    folder.clips("train", "a")
    folder.clips("train/sub", "b")
    folder.clips("test", "a", "c")
    found, failures = read(str(folder.root), dataset="mine")
    assert failures == []
    assert {name: one.split for name, one in found.items()} == {
        "test/a": "test",
        "mine": "held out",
        "train/a": "train",
        "train/sub/b": "train",
    }
    first = found["train/a"]
    assert (first.transcript, first.speaker, first.valence) == ("yes, really", "7", 2.5)
    assert [vote.labels for vote in first.votes] == [("angry",)]
    assert len(found["test/a"].votes) == 2
    assert (first.audio, first.dataset) == (CLIP, "mine")


def test_folders_are_labels_without_a_table(folder: CorpusFolder) -> None:
    folder.clips("train/Angry", "a", "b")
    folder.clips("dev/sad", "a")
    folder.clips("dev/ennui", "a")
    folder.file("dev/sad/a.flac", CLIP)
    folder.file("README.md", "no recording")
    found, failures = read(str(folder.root))
    assert {name: (one.split, one.votes[0].labels) for name, one in found.items()} == {
        "dev/sad/a": ("dev", ("sad",)),
        "train/Angry/a": ("train", ("Angry",)),
        "train/Angry/b": ("train", ("Angry",)),
    }
    assert [(f.error_type, f.message.partition(":")[0]) for f in failures] == [
        ("unknown_label", "dev/ennui/a.wav"),
        ("duplicate_id", "dev/sad/a.wav"),
    ]
    found, _ = read(str(folder.root), other_labels=["Ennui"])
    assert "dev/ennui/a" in found


def test_each_fault_costs_one_row_and_names_it(folder: CorpusFolder, tmp_path: Path) -> None:
    (tmp_path.parent / "outside.wav").write_bytes(CLIP)
    folder.file(
        "metadata.csv",
        b"file_name,label\na.wav,sad\n../outside.wav,sad\n/etc/hosts,sad\n,sad\ngone.wav,sad\n"
        b"b.wav,ennui\na.wav,sad\nb.wav\nb\xe9.wav,sad\ns3://b/k.wav,sad\nc.wav,angry\n",
    )
    for name in ("a.wav", "b.wav", "c.wav", "stray.wav"):
        folder.file(name, CLIP)
    found, failures = read(str(folder.root))
    assert list(found) == ["a", "c"]
    assert [(f.error_type, f.message.partition(":")[0]) for f in failures] == [
        ("bad_audio_path", "metadata.csv line 3"),
        ("bad_audio_path", "metadata.csv line 4"),
        ("missing_audio", "metadata.csv line 5"),
        ("missing_audio", "metadata.csv line 6"),
        ("unknown_label", "metadata.csv line 7"),
        ("duplicate_id", "metadata.csv line 8"),
        ("bad_csv", "metadata.csv line 9"),
        ("not_unicode", "metadata.csv line 10"),
        ("missing_audio", "metadata.csv line 11"),
        ("no_votes", "stray.wav"),
    ]


def test_what_is_no_audio_folder_is_refused(folder: CorpusFolder) -> None:
    folder.file("metadata.csv", "name\nx\n")
    with pytest.raises(CorpusError, match="there is no recording"):
        read(str(folder.root))
    folder.file("a.wav", CLIP)
    with pytest.raises(CorpusError, match="needs the columns file_name"):
        read(str(folder.root))


def test_it_is_in_the_table_of_readers_and_reads_object_storage(bucket: Location) -> None:
    bucket.write("data/train/metadata.jsonl", b'{"file_name": "../b.wav", "label": "sad"}\n')
    bucket.write("data/b.wav", CLIP)
    reading = ReadRequest(f"{bucket.uri}/data", None, LABELS, VotePolicy())
    [clip] = open_source("audio-folder").open(reading)
    found = clip.read()
    assert isinstance(found, Utterance)
    assert (found.utterance_id, found.audio) == ("b", CLIP)
