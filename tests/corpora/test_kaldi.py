"""A Kaldi data directory is read and nothing in it is run."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from corpus_folder import CorpusFolder, clip

from raypipe.corpora.kaldi import pending_kaldi
from raypipe.corpora.pending import read_ahead
from raypipe.corpora.readers import ReadRequest
from raypipe.corpora.sources import open_source
from raypipe.errors import CorpusError
from raypipe.labels import LabelSet
from raypipe.records import Failure, Utterance
from raypipe.votes import VotePolicy

LABELS = LabelSet(("anger", "happiness", "sadness"))


def read(folder: CorpusFolder, **options: Any) -> tuple[dict[str, Utterance], list[Failure]]:
    rows = list(read_ahead(pending_kaldi(str(folder.root / "data"), LABELS, **options)))
    found = {row.utterance_id: row for row in rows if isinstance(row, Utterance)}
    return found, [row for row in rows if isinstance(row, Failure)]


@pytest.fixture
def data(folder: CorpusFolder) -> CorpusFolder:
    folder.file("data/wavs/r1.wav", clip(duration_s=1.0))
    folder.clips("data/wavs", "r2")
    folder.file("data/wav.scp", "u1 wavs/r1.wav\nu2  wavs/r2.wav\n")
    return folder


def test_whole_recordings(data: CorpusFolder) -> None:
    data.file("data/text", "u1 so it is\nu2\n")
    data.file("data/utt2spk", "u1 s1\nu2 s2\n")
    data.file("data/utt2emo", "u1 angry sad\nu2 other\n")
    found, failures = read(data, other_labels=["other"])
    assert failures == []
    assert [one.transcript for one in found.values()] == ["so it is", None]
    assert [one.speaker for one in found.values()] == ["s1", "s2"]
    assert [vote.labels for vote in found["u1"].votes] == [("angry",), ("sad",)]
    assert {one.dataset for one in found.values()} == {"data"}


def test_segments_are_parts_of_recordings(data: CorpusFolder) -> None:
    data.file("data/segments", "r1-a u1 0.25 0.75\nr1-b u1 0.5 -1\nr2-a u2 0 0.1\n")
    data.file("data/utt2spk", "r1-a s1\n")
    found, failures = read(data)
    assert failures == []
    durations = {name: one.duration_s for name, one in found.items()}
    assert durations == pytest.approx({"r1-a": 0.5, "r1-b": 0.5, "r2-a": 0.1})
    assert found["r1-a"].speaker == "s1"


def test_a_command_is_refused_and_never_run(data: CorpusFolder, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    commands = [f"touch {trace} |", f"sox x.wav -t wav - ; touch {trace}|", f"| touch {trace}"]
    lines = "".join(f"c{number} {command}\n" for number, command in enumerate(commands))
    data.file("data/wav.scp", f"u1 wavs/r1.wav\n{lines}u2 wavs/r2.wav\n")
    data.file("data/utt2spk", "c0 s1\nu1 s1\n")
    found, failures = read(data)
    assert list(found) == ["u1", "u2"]
    assert [(f.utterance_id, f.error_type) for f in failures] == [
        ("c0", "command"),
        ("c1", "command"),
        ("c2", "command"),
    ]
    assert failures[0].message.startswith("wav.scp line 2: a command is not run: 'touch ")
    data.file("data/segments", "s1 u1 0 0.5\ns2 c0 0 0.5\n")
    found, failures = read(data)
    assert list(found) == ["s1"]
    assert "segments line 2: recording 'c0' has no usable line" in failures[3].message
    assert not trace.exists()


def test_each_fault_costs_one_line_and_names_it(data: CorpusFolder) -> None:
    data.file(
        "data/wav.scp",
        b"u1 wavs/r1.wav\nu2\nu3 ../../../etc/passwd\nu4 /etc/passwd\nu5 feats.ark:4242\n"
        b"u6 wavs/gone.wav\nu1 wavs/r2.wav\nu7 wavs/r\xe9.wav\nu8 wavs/r2.wav\n",
    )
    data.file("data/text", b"u1 ok\nu8 caf\xe9\nu9 nobody\nu1 again\n")
    data.file("data/utt2emo", "u1 ennui\nu8 sad\n")
    found, failures = read(data)
    assert list(found) == ["u8"]
    assert found["u8"].transcript is None
    assert [(f.error_type, f.message.partition(":")[0]) for f in failures] == [
        ("unknown_label", "wav.scp line 1"),
        ("missing_audio", "wav.scp line 2"),
        ("bad_audio_path", "wav.scp line 3"),
        ("bad_audio_path", "wav.scp line 4"),
        ("bad_audio_path", "wav.scp line 5"),
        ("missing_audio", "wav.scp line 6"),
        ("duplicate_id", "wav.scp line 7"),
        ("not_unicode", "wav.scp line 8"),
        ("not_unicode", "text line 2"),
        ("duplicate_id", "text line 4"),
        ("missing_audio", "text line 3"),
    ]


@pytest.mark.parametrize(
    "line", ["u1", "u1 0", "u1 a b", "u1 2 1", "u1 -1 1", "u1 0 nan", "u1 0 0"]
)
def test_segments_that_are_none(data: CorpusFolder, line: str) -> None:
    data.file("data/segments", f"a {line}\nb u1 0 0.5\n")
    found, [failure] = read(data)
    assert list(found) == ["b"]
    assert (failure.utterance_id, failure.error_type) == ("a", "bad_line")


def test_paths_may_lie_below_an_audio_root(data: CorpusFolder) -> None:
    data.file("data/wav.scp", f"u1 {data.root}/corpus/x.wav\nu2 x.wav\n")
    data.clips("corpus", "x")
    assert list(read(data, audio_root=str(data.root / "corpus"))[0]) == ["u1", "u2"]
    assert list(read(data)[0]) == []


def test_it_is_in_the_table_of_readers(data: CorpusFolder) -> None:
    reading = ReadRequest(str(data.root / "data"), None, LABELS, VotePolicy())
    assert len(list(open_source("kaldi").open(reading))) == 2
    with pytest.raises(CorpusError, match=r"there is no wav\.scp"):
        list(open_source("kaldi").open(ReadRequest(str(data.root), None, LABELS, VotePolicy())))


def test_a_recording_s_channel_is_taken(data: CorpusFolder) -> None:
    two = np.random.default_rng(0).normal(0, 0.1, (16_000, 2))
    soundfile.write(data.root / "data/wavs/r1.wav", two, 16_000, subtype="PCM_16")
    expected, _ = soundfile.read(data.root / "data/wavs/r1.wav")
    data.file("data/wav.scp", "a wavs/r1.wav\nb wavs/r1.wav\nc wavs/r1.wav\nd wavs/r2.wav\n")
    data.file("data/reco2file_and_channel", "a r1 A\nb r1 B\nc r1 1\nd r2 1\n")
    found, failures = read(data)
    for name, channel in (("a", 0), ("b", 1)):
        heard, _ = soundfile.read(io.BytesIO(found[name].audio))
        np.testing.assert_array_equal(heard, expected[:, channel])
    assert "d" in found
    assert [(one.utterance_id, one.error_type) for one in failures] == [("c", "no_channel")]
    data.file("data/segments", "b-1 b 0.25 0.5\n")
    found, _ = read(data)
    heard, _ = soundfile.read(io.BytesIO(found["b-1"].audio))
    np.testing.assert_array_equal(heard, expected[4000:8000, 1])
