"""NeMo and Lhotse manifests are read as they are; parts of files are cut out exactly."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from corpus_folder import clip

from raypipe.corpora.dialects import Segment
from raypipe.corpora.manifest import pending_manifest
from raypipe.corpora.pending import read_ahead
from raypipe.errors import DecodeError
from raypipe.labels import LabelSet
from raypipe.records import Utterance
from raypipe.shards import RowFailure

LABELS = LabelSet(("anger", "happiness", "sadness"))


def samples(audio: bytes, kind: str = "int16") -> tuple[np.ndarray, int]:
    found, rate = soundfile.read(io.BytesIO(audio), dtype=kind)
    return found, rate


def read(folder: Path, *lines: dict[str, Any]) -> list[Utterance | RowFailure]:
    (folder / "wavs").mkdir(exist_ok=True)
    (folder / "wavs/u1.wav").write_bytes(clip(duration_s=1.0))
    manifest = folder / "m.jsonl"
    manifest.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return list(read_ahead(pending_manifest(str(manifest), LABELS)))


def nemo(**fields: Any) -> dict[str, Any]:
    return {"audio_filepath": "wavs/u1.wav", "duration": 1.0, **fields}


def cut(**fields: Any) -> dict[str, Any]:
    recording = {
        "id": "r1",
        "sources": [{"type": "file", "channels": [0], "source": "wavs/u1.wav"}],
        "sampling_rate": 16_000,
        "num_samples": 16_000,
        "duration": 1.0,
    }
    told = {"text": "yes", "speaker": "F01", "custom": {"votes": {"happy": 3}}}
    whole = {"id": "c1", "start": 0.0, "duration": 1.0, "type": "MonoCut", "channel": 0}
    return {**whole, "supervisions": [told], "recording": recording, **fields}


def test_nemo_lines(tmp_path: Path) -> None:
    whole, part, rest, first = read(
        tmp_path,
        nemo(offset=0.0, label="happy", text="yes"),
        nemo(offset=0.25, duration=0.5, command="sad"),
        nemo(offset=0.5, duration=None),
        nemo(id="first", offset=0.0, duration=0.25),
    )
    assert isinstance(first, Utterance)
    assert first.duration_s == 0.25
    assert isinstance(whole, Utterance)
    assert (whole.utterance_id, whole.transcript, whole.duration_s) == ("u1", "yes", 1.0)
    assert whole.votes[0].labels == ("happy",)
    assert whole.audio == (tmp_path / "wavs/u1.wav").read_bytes()
    assert isinstance(part, Utterance)
    assert (part.utterance_id, part.duration_s) == ("u1-0.250", 0.5)
    assert part.votes[0].labels == ("sad",)
    np.testing.assert_array_equal(samples(part.audio)[0], samples(whole.audio)[0][4000:12_000])
    assert isinstance(rest, Utterance)
    assert rest.duration_s == 0.5


def test_lhotse_cuts(tmp_path: Path) -> None:
    whole, part = read(tmp_path, cut(), cut(id="c2", start=0.5, duration=0.25))
    assert isinstance(whole, Utterance)
    assert (whole.utterance_id, whole.transcript, whole.speaker) == ("c1", "yes", "F01")
    assert [vote.labels for vote in whole.votes] == [("happy",)] * 3
    assert isinstance(part, Utterance)
    assert (part.utterance_id, part.duration_s) == ("c2", 0.25)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (nemo(offset=0.8, duration=0.5), "truncated"),
        (nemo(offset="soon"), "bad_type"),
        (nemo(audio_filepath=5), "bad_id"),
        (nemo(audio_filepath="../../etc/passwd"), "bad_audio_path"),
        (cut(supervisions=[{}, {}]), "unsupported_cut"),
        (cut(supervisions=5), "bad_type"),
        (cut(start=-1), "bad_type"),
        (cut(recording={"sources": [{"type": "command", "source": "cat x"}]}), "unsupported_cut"),
    ],
)
def test_faults_cost_their_line(tmp_path: Path, line: dict[str, Any], reason: str) -> None:
    failure, good = read(tmp_path, line, nemo())
    assert isinstance(good, Utterance)
    assert isinstance(failure, RowFailure)
    assert failure.message.startswith("m.jsonl line 1: ")
    if reason != "bad_id":
        assert failure.error_type == reason


def test_a_part_keeps_channels_and_depth() -> None:
    stereo = clip(duration_s=0.5, sampling_rate=48_000, channels=2)
    part, rate = samples(Segment(0.1, 0.2).cut(stereo))
    np.testing.assert_array_equal(part, samples(stereo)[0][4800:14_400])
    assert (rate, part.shape) == (48_000, (9600, 2))
    buffer = io.BytesIO()
    loud = np.linspace(-1.5, 1.5, 8000, dtype=np.float32)
    soundfile.write(buffer, loud, 8000, format="WAV", subtype="FLOAT")
    part, _ = samples(Segment(0.5, None).cut(buffer.getvalue()), "float32")
    np.testing.assert_array_equal(part, loud[4000:])
    with pytest.raises(DecodeError, match="cannot be cut"):
        Segment(0.0, 1.0).cut(b"no audio")
