"""NeMo's tarred datasets: one manifest, many tar files."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
from pathlib import Path
from typing import Any

import pytest
from corpus_folder import CLIP, assert_same_clips, clip

from raypipe.corpora.nemo_tar import nemo_tars
from raypipe.corpora.readers import ReadRequest
from raypipe.corpora.sources import open_source
from raypipe.errors import CorpusError
from raypipe.labels import LabelSet
from raypipe.records import Failure, Utterance
from raypipe.votes import VotePolicy

LABELS = LabelSet(("anger", "happiness", "sadness"))


def line(name: str, shard: Any, **fields: Any) -> str:
    return json.dumps({"audio_filepath": f"{name}.wav", "shard_id": shard, **fields})


def corpus(folder: Path, lines: list[str], *shards: dict[str, bytes]) -> None:
    (folder / "tarred_audio_manifest.json").write_text("\n".join(lines))
    for number, members in enumerate(shards):
        with tarfile.open(folder / f"audio_{number}.tar", "w") as tar:
            for name, data in members.items():
                member = tarfile.TarInfo(f"{name}.wav")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))


def read(uri: object, **options: Any) -> list[Utterance | Failure]:
    rows: list[Utterance | Failure] = []
    for one in nemo_tars(str(uri), LABELS, **options):
        found = list(pickle.loads(pickle.dumps(one)).read())
        assert_same_clips(list(one.scan()), found)
        rows += found
    return rows


def test_a_manifest_describes_all_tar_files(tmp_path: Path) -> None:
    lines = [
        line("u1", 0, label="angry", text="no"),
        line("u2", 1, label="sad", duration=0.5),
        line("u3", 1, offset=0.25, duration=0.5),
    ]
    corpus(tmp_path, lines, {"u1": CLIP}, {"u2": CLIP, "u3": clip(duration_s=1.0)})
    for uri in (tmp_path, tmp_path / "audio__OP_0..1_CL_.tar"):
        first, second, part = read(uri)
        assert isinstance(first, Utterance)
        assert isinstance(second, Utterance)
        assert isinstance(part, Utterance)
        assert (first.utterance_id, first.transcript) == ("u1", "no")
        assert second.votes[0].labels == ("sad",)
        assert (part.utterance_id, part.duration_s) == ("u3-0.250", 0.5)


def test_each_fault_is_told_once_with_its_line(tmp_path: Path) -> None:
    lines = [
        line("u1", 0),
        "{torn",
        line("u2", "one"),
        line("u3", 1, label="ennui"),
        line("u4", 1),
        line("u5", 1, offset=9.0),
        json.dumps({"shard_id": 0}),
        line("u6", 1),
    ]
    corpus(tmp_path, lines, {"u1": CLIP, "u9": CLIP}, {"u3": CLIP, "u5": CLIP, "u6": CLIP})
    rows = read(tmp_path)
    assert [row.utterance_id for row in rows if isinstance(row, Utterance)] == ["u1", "u6"]
    failures = [row for row in rows if isinstance(row, Failure)]
    assert [(f.error_type, f.message.partition(":")[0]) for f in failures] == [
        ("bad_json", "tarred_audio_manifest.json line 2"),
        ("bad_type", "tarred_audio_manifest.json line 3"),
        ("missing_audio", "tarred_audio_manifest.json line 7"),
        ("no_votes", "audio_0.tar"),
        ("unknown_label", "tarred_audio_manifest.json line 4"),
        ("truncated", "tarred_audio_manifest.json line 6"),
        ("missing_audio", "tarred_audio_manifest.json line 5"),
    ]


def test_it_is_in_the_table_of_readers(tmp_path: Path) -> None:
    corpus(tmp_path, [json.dumps({"audio_filepath": "u1.wav"})], {"u1": CLIP})
    (tmp_path / "tarred_audio_manifest.json").rename(tmp_path / "mine.json")
    reading = ReadRequest(str(tmp_path / "audio_0.tar"), None, LABELS, VotePolicy())
    [one] = open_source("nemo-tarred", {"manifest": "mine.json"}).open(reading)
    assert len(list(one.read())) == 1
    [one] = open_source("nemo-tarred").open(reading)
    with pytest.raises(CorpusError, match=r"there is no .*tarred_audio_manifest\.json"):
        list(one.read())
    (tmp_path / "more.tar").write_bytes(b"")
    with pytest.raises(CorpusError, match="has no number"):
        nemo_tars(str(tmp_path), LABELS)
