"""Lhotse Shar: cuts and their recordings side by side, as lhotse.shar writes them."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from corpus_folder import CLIP, assert_same_clips

from raypipe.corpora.pending import PendingClip
from raypipe.corpora.readers import ReadRequest
from raypipe.corpora.shar import shar_files
from raypipe.corpora.sources import open_source
from raypipe.errors import CorpusError
from raypipe.labels import LabelSet
from raypipe.records import Failure, Utterance
from raypipe.votes import VotePolicy

LABELS = LabelSet(("anger", "happiness", "sadness"))


def cut(name: str, **fields: Any) -> dict[str, Any]:
    """A cut as Shar leaves it: its recording is a placeholder, its start is 0."""
    told = {"id": f"{name}-s", "recording_id": name, "text": "yes", "speaker": "F01"}
    source = {"type": "shar", "channels": [0], "source": ""}
    recording = {"id": name, "sources": [source], "sampling_rate": 16_000, "duration": 0.1}
    supervision = {**told, "custom": {"emotion": "happy"}}
    shape = {"id": name, "start": 0, "duration": 0.1, "channel": 0, "type": "MonoCut"}
    return {**shape, "supervisions": [supervision], "recording": recording, **fields}


def shard(folder: Path, number: int, lines: list[Any], members: dict[str, bytes]) -> None:
    folder.mkdir(exist_ok=True)
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    packed = gzip.compress("".join(f"{text}\n" for text in texts).encode())
    (folder / f"cuts.{number:06d}.jsonl.gz").write_bytes(packed)
    with tarfile.open(folder / f"recording.{number:06d}.tar", "w") as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def read(folder: Path, **options: Any) -> list[Utterance | Failure]:
    """Every result, after making sure that the scan promised as many, with the same ids."""
    rows: list[Utterance | Failure] = []
    for one in shar_files(str(folder), LABELS, **options):
        found = list(one.read())
        held = list(one.scan())
        assert_same_clips(held, found)
        rows += found
    return rows


def test_shards_are_read_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "shar"
    shard(
        folder,
        0,
        [cut("a.1-2"), cut("b")],
        {"a.1-2.wav": CLIP, "a.1-2.json": b"{}", "b.wav": CLIP, "b.json": b"{}"},
    )
    shard(folder, 1, [cut("c", supervisions=[])], {"./c.wav": CLIP, "./c.json": b"{}"})
    a, b, c = read(folder)
    assert isinstance(a, Utterance)
    assert isinstance(c, Utterance)
    assert (a.utterance_id, a.transcript, a.speaker, a.dataset) == ("a.1-2", "yes", "F01", "shar")
    assert [vote.labels for vote in a.votes] == [("happy",)]
    assert (b.utterance_id, c.utterance_id, c.votes) == ("b", "c", ())
    [second] = shar_files(f"{folder}/cuts.{{000001..000001}}.jsonl.gz", LABELS)
    assert [entry.utterance_id for entry in second.scan()] == ["c"]


def test_each_fault_costs_one_cut_and_names_it(tmp_path: Path) -> None:
    lines = [
        cut("a"),
        "{torn",
        cut("b", supervisions=[{"custom": {"emotion": "ennui"}}]),
        cut("c"),
        cut("d"),
        cut("a"),
        cut("e", supervisions=[{}, {}]),
        cut("f", supervisions=5),
        {"supervisions": []},
        cut("g"),
    ]
    members = {
        "a.wav": CLIP,
        "b.wav": CLIP,
        "c.nodata": b"",
        "c.nometa": b"",
        "d.wav": CLIP[:60],
        "stranger.wav": CLIP,
        "g.wav": CLIP,
    }
    shard(tmp_path, 0, lines, members)
    rows = read(tmp_path)
    assert [row.utterance_id for row in rows if isinstance(row, Utterance)] == ["a", "g"]
    cuts = "cuts.000000.jsonl.gz line"
    expected = [
        (None, "bad_json", f"{cuts} 2: "),
        ("a", "duplicate_id", f"{cuts} 6: 'a' is also in line 1"),
        ("e", "unsupported_cut", f"{cuts} 7: "),
        ("f", "bad_type", f"{cuts} 8: "),
        (None, "missing_id", f"{cuts} 9: "),
        ("b", "unknown_label", f"{cuts} 3: "),
        ("d", "truncated", f"{cuts} 5: "),
        ("stranger", "no_votes", "recording.000000.tar: "),
        ("c", "missing_audio", f"{cuts} 4: 'c' is not in recording.000000.tar"),
    ]
    failures = [row for row in rows if isinstance(row, Failure)]
    assert [(f.utterance_id, f.error_type) for f in failures] == [one[:2] for one in expected]
    for failure, (*_, message) in zip(failures, expected, strict=True):
        assert failure.message.startswith(message)


def test_torn_files_are_told(tmp_path: Path) -> None:
    members = {"a.wav": CLIP, "b.wav": CLIP}
    shard(tmp_path, 0, [cut("a"), cut("b")], members)
    tar = tmp_path / "recording.000000.tar"
    tar.write_bytes(tar.read_bytes()[: 512 + 4096 + 512 + 100])
    reasons = [getattr(row, "error_type", row.utterance_id) for row in read(tmp_path)]
    assert reasons == ["a", "bad_tar", "missing_audio"]
    shard(tmp_path, 0, [cut("a"), cut("b")], members)
    cuts = tmp_path / "cuts.000000.jsonl.gz"
    cuts.write_bytes(cuts.read_bytes()[:-12])
    rows = read(tmp_path)
    torn = next(row for row in rows if isinstance(row, Failure))
    assert torn.error_type == "bad_gzip"
    cuts.write_bytes(b"no gzip at all")
    with pytest.raises(CorpusError, match="is not gzip"):
        read(tmp_path)


def test_what_is_no_shar_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"there is no \.jsonl"):
        shar_files(str(tmp_path), LABELS)
    (tmp_path / "m.jsonl").write_text("{}")
    with pytest.raises(CorpusError, match=r"there is no cuts\.000000"):
        shar_files(str(tmp_path), LABELS)
    (tmp_path / "cuts.000000.jsonl").write_text("")
    with pytest.raises(CorpusError, match=r"recording\.000000\.tar"):
        read(tmp_path)


def test_it_is_in_the_table_of_readers(tmp_path: Path) -> None:
    shard(tmp_path, 0, [cut("a")], {"a.wav": CLIP})
    reading = ReadRequest(str(tmp_path), None, LABELS, VotePolicy())
    [found] = open_source("lhotse-shar").open(reading)
    assert not isinstance(found, PendingClip | Failure)
    assert found.position(0) == "recording.000000.tar recording 1"


def test_a_cut_has_its_channel_of_what_is_stored(tmp_path: Path) -> None:
    """Lhotse stores the cut's channel alone; other writers store the whole recording."""
    signal = np.random.default_rng(0).normal(0, 0.1, (1_600, 2))
    buffer = io.BytesIO()
    soundfile.write(buffer, signal, 16_000, format="WAV", subtype="PCM_16")
    both, _ = soundfile.read(io.BytesIO(buffer.getvalue()))
    recording = {**cut("r")["recording"], "sources": [{"type": "shar", "channels": [0, 1]}]}
    changed = {**recording, "transforms": [{"name": "Speed", "kwargs": {"factor": 1.1}}]}
    lines = [
        *(cut(f"c{channel}", channel=channel, recording=recording) for channel in (0, 1, 2)),
        cut("mono", channel=1, recording=recording),
        cut("fast", channel=0, recording=changed),
    ]
    members = {f"{line['id']}.wav": buffer.getvalue() for line in lines}
    shard(tmp_path / "s", 0, lines, {**members, "mono.wav": CLIP})
    rows = {row.utterance_id: row for row in read(tmp_path / "s") if row.utterance_id}
    for channel in (0, 1):
        row = rows[f"c{channel}"]
        assert isinstance(row, Utterance)
        heard, _ = soundfile.read(io.BytesIO(row.audio))
        np.testing.assert_array_equal(heard, both[:, channel])
    assert isinstance(rows["mono"], Utterance)
    assert rows["mono"].audio == CLIP
    told = {row.error_type for row in read(tmp_path / "s") if isinstance(row, Failure)}
    assert {"no_channel", "unsupported_cut"} <= told
