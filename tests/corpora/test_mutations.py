"""Damaged inputs of every kind: each becomes utterances or named failures, soon, and nothing else.

Bytes are flipped, cut, doubled, moved and overwritten at random, in audio files, label files and
containers that every reader takes. What still becomes an utterance must decode, or be refused by
name.
"""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from corpus_folder import CLIP

from raypipe.audio import AudioLimits, decode, measure, read_header
from raypipe.corpora.containers import Container
from raypipe.corpora.pending import PendingClip
from raypipe.corpora.readers import ReadRequest
from raypipe.corpora.segment import Segment
from raypipe.corpora.sources import open_source
from raypipe.errors import ConfigError, CorpusError, DecodeError
from raypipe.labels import LabelSet
from raypipe.lossless import as_flac
from raypipe.records import Failure, Utterance
from raypipe.votes import VotePolicy

LABELS = LabelSet(("anger", "happiness", "sadness"))
LIMITS = AudioLimits(max_duration_s=60.0)
LONGEST_S = 10.0
RATE = 8_000
FORMATS = ("WAV", "WAVEX", "RF64", "AIFF", "AU", "CAF", "W64", "FLAC", "OGG", "MP3")


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """A copy with one to four random damages, more often near its beginning."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        size = len(changed)
        if size < 4:
            break
        reach = size if rng.random() < 0.5 else min(size, 200)
        at = int(rng.integers(0, reach))
        length = int(rng.integers(1, max(2, min(64, size - at))))
        match int(rng.integers(0, 7)):
            case 0:
                changed[at] ^= 1 << int(rng.integers(0, 8))
            case 1:
                changed[at : at + length] = rng.bytes(length)
            case 2:
                changed[at : at + length] = bytes([int(rng.choice([0, 255, 127, 48]))]) * length
            case 3:
                del changed[at : at + length]
            case 4:
                changed[at:at] = changed[at : at + length]
            case 5:
                del changed[at:]
            case _:
                changed[at:at] = rng.bytes(length)
    return bytes(changed)


def recordings() -> list[bytes]:
    """A second of noise in every format that is written here."""
    signal = np.random.default_rng(0).normal(0, 0.1, RATE)
    encoded = []
    for kind in FORMATS:
        buffer = io.BytesIO()
        soundfile.write(buffer, signal, RATE, format=kind)
        encoded.append(buffer.getvalue())
    return [*encoded, encoded[-1][400:]]  # an MP3 without its first frame


def test_damaged_audio_is_heard_or_refused(mutations: int) -> None:
    rng = np.random.default_rng(1)
    sources = recordings()
    for number in range(mutations):
        audio = mutated(sources[number % len(sources)], rng)
        for look in (
            lambda audio: read_header(audio, LIMITS),
            lambda audio: measure(audio, LIMITS),
            as_flac,
            Segment(0.25, 0.5).cut,
            Segment(0.5, None, (0,)).cut,
        ):
            with within_time(), told():
                look(audio)
        with within_time(), told():
            samples = decode(audio, sampling_rate=RATE, limits=LIMITS)
            assert samples.size
            assert np.isfinite(samples).all()


class told:  # noqa: N801 (reads as a sentence)
    """A context in which a clip may be refused by name, and nothing else may be raised."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: object, _: object) -> bool:
        if isinstance(error, DecodeError):
            assert error.code
            assert str(error)
            return True
        return False


class within_time:  # noqa: N801 (reads as a sentence)
    """A context that must be left soon."""

    def __enter__(self) -> None:
        self._started = time.monotonic()

    def __exit__(self, *_: object) -> None:
        assert time.monotonic() - self._started < LONGEST_S


def native(folder: Path) -> None:
    lines = [
        {"id": "a", "audio": "u0.wav", "votes": ["angry", "sad"], "speaker": 7, "arousal": 3.5},
        {"id": "b", "audio": "u1.wav", "soft_label": {"anger": 0.5, "sad": 0.5}, "channel": 0},
        {"id": "c", "audio": "u0.wav", "votes": [{"annotator": "x", "labels": ["sad"]}]},
        {"audio_filepath": "u1.wav", "offset": 0.1, "duration": 0.2, "label": "sad"},
    ]
    (folder / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))


def lhotse(folder: Path) -> None:
    recording = {
        "sources": [{"type": "file", "channels": [0], "source": "u0.wav"}],
        "sampling_rate": 16_000,
        "duration": 0.1,
    }
    shape = {"start": 0.0, "duration": 0.1, "channel": 0, "type": "MonoCut"}
    told = [{"start": 0.0, "duration": 0.1, "custom": {"emotion": "sad"}}]
    cuts = [
        {"id": f"c{n}", **shape, "supervisions": told, "recording": recording} for n in range(3)
    ]
    (folder / "m.jsonl").write_text("\n".join(map(json.dumps, cuts)))


def sheet(between: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        rows = ["id audio votes transcript", 'a u0.wav angry|sad "yes,it""s"', "b u1.wav sad no"]
        (folder / "m.csv").write_text("\n".join(row.replace(" ", between) for row in rows))

    return write


def speechbrain(folder: Path) -> None:
    entries = {
        f"u{n}": {"wav": "{data_root}/u0.wav", "emo": "sad", "length": 1.5} for n in range(3)
    }
    (folder / "m.json").write_text(json.dumps(entries, indent=1))


def kaldi(folder: Path) -> None:
    (folder / "m").mkdir()
    (folder / "m/wav.scp").write_text(f"r0 {folder}/m/u0.wav\nr1 u0.wav\n")
    (folder / "m/u0.wav").write_bytes(CLIP)
    (folder / "m/segments").write_text("a r0 0.0 0.05\nb r1 0.02 -1\n")
    (folder / "m/utt2emo").write_text("a sad\nb angry happy\n")


def parquet(folder: Path) -> None:
    metadata = {
        "huggingface": json.dumps(
            {"info": {"features": {"label": {"_type": "ClassLabel", "names": ["sad", "angry"]}}}}
        )
    }
    audio = [
        {"bytes": CLIP, "path": "a.wav"},
        {"bytes": None, "path": "u0.wav"},
    ]
    table = pa.table({"audio": audio, "label": [0, 1], "text": ["yes", None]})
    pq.write_table(table.replace_schema_metadata(metadata), folder / "m.parquet")


def arrow(folder: Path) -> None:
    audio = [{"array": [0.0, 0.5, -0.5] * 100, "sampling_rate": 8000, "path": f"{n}"} for n in "ab"]
    table = pa.table({"audio": audio, "emotion": ["sad", "angry"]})
    with (
        pa.OSFile(str(folder / "m.arrow"), "wb") as sink,
        pa.ipc.new_file(sink, table.schema) as writer,
    ):
        writer.write_table(table)


def tar(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as made:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            made.addfile(member, io.BytesIO(data))


def webdataset(folder: Path) -> None:
    fields = json.dumps({"emotion": "sad", "spk": "7"}).encode()
    tar(
        folder / "m.tar",
        {"s/a.wav": CLIP, "s/a.json": fields, "s/b.flac": as_flac(CLIP).audio, "s/b.cls": b"sad"},
    )


def nemo_tarred(folder: Path) -> None:
    (folder / "m").mkdir()
    tar(folder / "m/audio_0.tar", {"a.wav": CLIP, "b.wav": CLIP})
    lines = [{"audio_filepath": f"{name}.wav", "shard_id": 0, "label": "sad"} for name in "ab"]
    text = "\n".join(map(json.dumps, lines))
    (folder / "m/tarred_audio_manifest.json").write_text(text)


CORPORA: dict[str, tuple[str, Callable[[Path], None]]] = {
    "m.jsonl": ("manifest", native),
    "lhotse/m.jsonl": ("lhotse", lhotse),
    "m.csv": ("manifest", sheet(",")),
    "semicolons/m.csv": ("manifest", sheet(";")),
    "m.json": ("speechbrain", speechbrain),
    "m": ("kaldi", kaldi),
    "m.parquet": ("parquet", parquet),
    "m.arrow": ("parquet", arrow),
    "m.tar": ("webdataset", webdataset),
    "nemo/m": ("nemo-tarred", nemo_tarred),
}


@pytest.mark.parametrize("name", CORPORA)
def test_damaged_corpora_become_utterances_or_failures(
    tmp_path: Path, mutations: int, name: str
) -> None:
    reader, write = CORPORA[name]
    folder = tmp_path / Path(name).parent
    folder.mkdir(exist_ok=True)
    for number in range(2):
        (folder / f"u{number}.wav").write_bytes(CLIP)
    write(folder)
    target = tmp_path / name
    files = [
        path for path in (target.rglob("*") if target.is_dir() else [target]) if path.is_file()
    ]
    whole = {path: path.read_bytes() for path in files}
    good = [row for row in rows_of(reader, target) if isinstance(row, Utterance)]
    assert len(good) >= 2
    rng = np.random.default_rng(len(name))
    for number in range(max(1, mutations // len(CORPORA))):
        damaged = files[number % len(files)]
        damaged.write_bytes(mutated(whole[damaged], rng))
        with within_time():
            check(reader, target)
        damaged.write_bytes(whole[damaged])


def check(reader: str, source: Path) -> None:
    """Read everything; a source may be refused as a whole, a clip may be refused by name."""
    try:
        rows = list(rows_of(reader, source))
    except (CorpusError, ConfigError):
        return
    for row in rows:
        if isinstance(row, Failure):
            assert row.error_type
            assert row.message.encode()
            continue
        assert 0 < row.duration_s < 3600
        assert row.utterance_id.encode()
        assert all(word for vote in row.votes for word in vote.labels)
        with told():
            assert decode(row.audio, sampling_rate=RATE).size


def rows_of(reader: str, source: Path) -> Iterator[Utterance | Failure]:
    request = ReadRequest(str(source), None, LABELS, VotePolicy())
    opened: Any = open_source(reader).open(request)
    if isinstance(opened, list):
        for container in opened:
            yield from both_ways(container)
        return
    for clip in opened:
        yield clip.read() if isinstance(clip, PendingClip) else clip


def both_ways(container: Container) -> list[Utterance | Failure]:
    """A container's clips, which a scan of it must have listed with the same ids."""
    rows, listed = list(container.read()), list(container.scan())
    assert len(rows) == len(listed)
    for row, entry in zip(rows, listed, strict=True):
        assert entry.utterance_id in (None, row.utterance_id)
    return rows
