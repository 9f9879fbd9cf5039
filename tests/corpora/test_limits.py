"""What is far larger than it looks is refused by name, soon, and in little memory."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import tarfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from corpus_folder import CLIP, CorpusFolder, clip

from raypipe.corpora import limits as module
from raypipe.corpora.limits import RecordingLimits
from raypipe.corpora.manifest import NOTHING_AFTER
from raypipe.corpora.pending import PendingClip, in_order
from raypipe.corpora.readers import ReadRequest
from raypipe.corpora.segment import Segment
from raypipe.corpora.sources import open_source
from raypipe.errors import DecodeError
from raypipe.labels import LabelSet
from raypipe.records import Failure, Utterance
from raypipe.votes import VotePolicy

LABELS = LabelSet(("anger", "sadness"))
SHORT = RecordingLimits(max_duration_s=5.0, max_bytes=100_000)


def rows_of(
    reader: str, source: Path, limits: RecordingLimits = SHORT
) -> Iterator[Utterance | Failure]:
    opened: Any = open_source(reader).open(ReadRequest(str(source), None, LABELS, VotePolicy()))
    if isinstance(opened, list):
        for container in opened:
            rows = list(container.read(limits))
            assert len(list(container.scan())) == len(rows)
            yield from rows
        return
    for row in opened:
        yield row.read(limits) if isinstance(row, PendingClip) else row


def silence(seconds: float, *, total: bool = True, kind: str = "FLAC") -> bytes:
    """Well packed: hours of it are a megabyte; without a total, its header does not tell."""
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", 16_000, 1, format=kind) as writer:
        for _ in range(max(1, round(seconds / 60))):
            writer.write(np.zeros(round(min(seconds, 60) * 16_000), dtype=np.int16))
    data = bytearray(buffer.getvalue())
    if not total:
        data[21] &= 0xF0
        data[22:26] = bytes(4)
    return bytes(data)


LONG = {
    "FLAC": silence(60),
    "FLAC without a total": silence(60, total=False),
    "OGG": silence(60, kind="OGG"),
    "MP3": silence(60, kind="MP3"),
    "large": clip(4.0, 16_000),
}


def manifest(folder: CorpusFolder, audio: bytes) -> tuple[str, Path]:
    lines = [{"id": name, "audio": f"{name}.wav", "votes": ["sad"]} for name in "abc"]
    folder.file("m.jsonl", "\n".join(map(json.dumps, lines)))
    for name in "ac":
        folder.file(f"{name}.wav", CLIP)
    folder.file("b.wav", audio)
    return "manifest", folder.root / "m.jsonl"


def tar(folder: CorpusFolder, audio: bytes) -> tuple[str, Path]:
    members = {"a.wav": CLIP, "b.wav": audio, "c.wav": CLIP}
    with tarfile.open(folder.root / "m.tar", "w") as made:
        for name, data in members.items():
            for member, content in ((name, data), (f"{name[0]}.cls", b"sad")):
                told = tarfile.TarInfo(member)
                told.size = len(content)
                made.addfile(told, io.BytesIO(content))
    return "webdataset", folder.root / "m.tar"


def nemo_tar(folder: CorpusFolder, audio: bytes) -> tuple[str, Path]:
    tar(folder, audio)
    (folder.root / "m.tar").rename(folder.root / "audio_0.tar")
    with tarfile.open(folder.root / "audio_0.tar", "w") as made:
        for name, data in {"a.wav": CLIP, "b.wav": audio, "c.wav": CLIP}.items():
            told = tarfile.TarInfo(name)
            told.size = len(data)
            made.addfile(told, io.BytesIO(data))
    lines = [{"audio_filepath": f"{name}.wav", "label": "sad"} for name in "abc"]
    folder.file("tarred_audio_manifest.json", "\n".join(map(json.dumps, lines)))
    return "nemo-tarred", folder.root / "audio_0.tar"


def table(folder: CorpusFolder, audio: bytes) -> tuple[str, Path]:
    cells = [
        {"bytes": data, "path": f"{n}.wav"}
        for n, data in zip("abc", (CLIP, audio, CLIP), strict=True)
    ]
    pq.write_table(pa.table({"audio": cells, "label": ["sad"] * 3}), folder.root / "m.parquet")
    return "parquet", folder.root / "m.parquet"


def sorted_folder(folder: CorpusFolder, audio: bytes) -> tuple[str, Path]:
    for name, data in {"a": CLIP, "b": audio, "c": CLIP}.items():
        folder.file(f"sad/{name}.wav", data)
    return "audio-folder", folder.root


@pytest.mark.parametrize("kind", LONG)
@pytest.mark.parametrize("write", [manifest, tar, nemo_tar, table, sorted_folder])
def test_a_clip_beyond_a_limit_is_one_row(
    folder: CorpusFolder, write: Callable[[CorpusFolder, bytes], tuple[str, Path]], kind: str
) -> None:
    reader, source = write(folder, LONG[kind])
    rows = list(rows_of(reader, source))
    assert [isinstance(row, Utterance) for row in rows] == [True, False, True]
    failure = rows[1]
    assert isinstance(failure, Failure)
    if kind == "large":
        assert failure.error_type == "too_large"
        assert f"{len(LONG[kind]):,} bytes, limits.max_bytes is 100,000" in failure.message
    else:
        assert failure.error_type == "too_long"
        assert "the limit is 5 s" in failure.message
    assert "sad/b.wav" in failure.message or source.name in failure.message
    assert all(isinstance(row, Utterance) for row in rows_of(reader, source, RecordingLimits()))


@pytest.mark.parametrize("total", [True, False])
def test_a_part_is_bounded_as_a_clip_is(total: bool) -> None:
    audio = silence(60, total=total)
    for part in (Segment(1.0, None), Segment(1.0, 50.0)):
        with pytest.raises(DecodeError, match="the limit is 5 s") as caught:
            part.cut(audio, 5.0)
        assert caught.value.code == "too_long"
    cut = Segment(1.0, 4.0).cut(audio, 5.0)
    assert soundfile.info(io.BytesIO(cut)).frames == 64_000


@pytest.mark.parametrize(
    "line", ["x" * 300, json.dumps({"id": "x" * 300}), "x" * 200, "x" * 199 + "\r", "x" * 999]
)
def test_a_line_that_is_too_long_costs_itself(
    folder: CorpusFolder, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_LINE", 200)
    first, third = (
        json.dumps({"id": name, "audio": "a.wav", "votes": ["sad"]}) for name in ("a", "c")
    )
    folder.file("a.wav", CLIP)
    for name, write in (("m.jsonl", bytes), ("m.jsonl.gz", gzip.compress)):
        folder.file(name, write(f"{first}\n{line}\n{third}\n".encode()))
        before, failure, after = rows_of("manifest", folder.root / name)
        assert isinstance(failure, Failure)
        assert failure.error_type == "too_large"
        assert f"{name} line 2 has more than 200 characters" in failure.message
        assert isinstance(before, Utterance)
        assert isinstance(after, Utterance)
        assert (before.utterance_id, after.utterance_id) == ("a", "c")


def test_a_last_line_without_an_end_is_told(
    folder: CorpusFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_LINE", 200)
    folder.file("m.jsonl", "x" * 5_000)
    [failure] = rows_of("manifest", folder.root / "m.jsonl")
    assert isinstance(failure, Failure)
    assert failure.error_type == "too_large"


def test_nothing_is_read_after_such_a_line_of_a_table(
    folder: CorpusFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_LINE", 200)
    folder.file("a.wav", CLIP)
    folder.file("m.csv", f"id,audio,emotion\na,a.wav,sad\n{'x' * 300}\nc,a.wav,sad\n")
    first, failure = rows_of("manifest", folder.root / "m.csv")
    assert isinstance(first, Utterance)
    assert isinstance(failure, Failure)
    assert failure.message.endswith(NOTHING_AFTER)


def test_a_packed_file_out_of_all_proportion_is_told(
    folder: CorpusFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ALWAYS_UNPACKED", 1_000_000)
    good = json.dumps({"id": "a", "audio": "a.wav", "votes": ["sad"]})
    folder.file("a.wav", CLIP)
    folder.file("m.jsonl.gz", gzip.compress(f"{good}\n".encode() + b"\n" * 20_000_000))
    first, second = rows_of("manifest", folder.root / "m.jsonl.gz")
    assert isinstance(first, Utterance)
    assert isinstance(second, Failure)
    assert "m.jsonl.gz unpacks to" in second.message


def test_a_document_that_is_read_whole_has_a_limit(
    folder: CorpusFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST_DOCUMENT", 1_000)
    folder.file("m.json", json.dumps({f"u{n}": {"wav": "a.wav"} for n in range(100)}))
    [failure] = rows_of("speechbrain", folder.root / "m.json")
    assert isinstance(failure, Failure)
    assert "m.json has more than 1,000 characters" in failure.message


def test_texts_and_headers_in_a_tar_file_have_limits(folder: CorpusFolder) -> None:
    with tarfile.open(folder.root / "m.tar", "w:gz") as made:
        for name, size in (("a.wav", len(CLIP)), ("a.cls", 3), ("a.npy", 20_000_000)):
            told = tarfile.TarInfo(name)
            told.size = size
            data = {"a.wav": CLIP, "a.cls": b"sad"}.get(name, bytes(size))
            made.addfile(told, io.BytesIO(data))
        told = tarfile.TarInfo("b.json")
        told.size = 17_000_000
        made.addfile(told, io.BytesIO(bytes(told.size)))
        told = tarfile.TarInfo("c.json")
        made.addfile(told)
    first, second, _ = rows_of("webdataset", folder.root / "m.tar")
    assert isinstance(first, Utterance)  # what nothing is read from is passed over
    assert isinstance(second, Failure)
    assert (second.error_type, "17,000,000 bytes" in second.message) == ("too_large", True)
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 3_000_000_000
    folder.file("m.tar", header.tobuf() + b"x" * 10_000)
    [failure] = rows_of("webdataset", folder.root / "m.tar")
    assert isinstance(failure, Failure)
    assert "a header of 3,000,000,000 bytes" in failure.message


def test_members_beyond_all_proportion_are_told(
    folder: CorpusFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from raypipe.corpora import tar_stream

    monkeypatch.setattr(tar_stream, "ALWAYS_UNPACKED", 1_000_000)
    with tarfile.open(folder.root / "m.tar", "w:gz") as made:
        for name in ("a.wav", "b.wav"):
            told = tarfile.TarInfo(name)
            told.size = 20_000_000
            made.addfile(told, io.BytesIO(bytes(told.size)))
    [failure] = rows_of("webdataset", folder.root / "m.tar")
    assert isinstance(failure, Failure)
    assert (failure.error_type, "times its own size" in failure.message) == ("bad_tar", True)


def test_large_ones_are_read_alone() -> None:
    sizes = [100_000_000] * 6 + [1] * 40
    drawn = 0

    def items() -> Iterator[int]:
        nonlocal drawn
        for drawn, size in enumerate(sizes, start=1):  # noqa: B007 (it is looked at)
            yield size

    results = in_order(lambda size: size, items(), lambda size: size)
    assert next(results) == 100_000_000
    assert drawn == 3
    assert list(results) == sizes[1:]


BOMBS = """
import resource, sys
from pathlib import Path
from test_limits import rows_of
from raypipe.corpora.limits import RecordingLimits
from raypipe.records import Failure
for reader, name in [argument.split("=") for argument in sys.argv[1:]]:
    for row in rows_of(reader, Path(name), RecordingLimits(max_duration_s=1800.0)):
        print(row.error_type if isinstance(row, Failure) else "good")
# The process's own peak, without that of the tests' process, which it was forked from.
(own,) = [line for line in Path("/proc/self/status").open() if line.startswith("VmHWM")]
print(max(int(own.split()[1]), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
"""


def test_bombs_stay_below_a_gigabyte(folder: CorpusFolder) -> None:
    """Hours in a megabyte, gigabytes in a line, a member, a header: told, in little memory."""
    lines = [
        {"id": "a", "audio": "a.flac", "votes": ["sad"]},
        {"id": "b", "audio": "a.flac", "votes": ["sad"], "offset": 1.0},
        {"id": "c", "audio": "c.wav", "votes": ["sad"]},
    ]
    folder.file("m.jsonl", "\n".join(map(json.dumps, lines)))
    folder.file("a.flac", silence(6 * 3600, total=False))
    with (folder.root / "c.wav").open("wb") as sparse:
        sparse.truncate(3_000_000_000)
    with gzip.open(folder.root / "n.jsonl.gz", "wb", compresslevel=1) as packed:
        for _ in range(150):
            packed.write(b"x" * 1_000_000)
    header = tarfile.TarInfo("a.wav")
    header.size = 3_000_000_000
    with (folder.root / "m.tar").open("wb") as sparse:
        sparse.write(header.tobuf())
        sparse.truncate(512 + header.size + 1024)
    sources = [("manifest", "m.jsonl"), ("manifest", "n.jsonl.gz"), ("webdataset", "m.tar")]
    done = subprocess.run(
        [
            *(sys.executable, "-c", textwrap.dedent(BOMBS)),
            *(f"{reader}={folder.root / name}" for reader, name in sources),
        ],
        env={"PYTHONPATH": ":".join([str(Path(__file__).parent), *sys.path])},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    *told, peak_kb = done.stdout.split()
    assert told[:4] == ["too_long", "too_long", "too_large", "too_large"]
    assert told[4] in ("too_large", "bad_tar")
    assert int(peak_kb) < 1_000_000
