"""Inputs of every kind with damages at random: read whole, read in part or refused by name.

Bytes are flipped, cut, doubled, moved and overwritten, also as numbers. What still becomes an
utterance must decode, or be refused by name. Anything else that happens is a fault of raypipe.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
from answer_texts import TEXTS
from corpus_folder import CLIP
from markdown_blocks import blocks

from raypipe.audio import AudioLimits, decode, measure, read_header
from raypipe.config import load_config
from raypipe.corpora.containers import Container
from raypipe.corpora.pending import PendingClip
from raypipe.corpora.readers import ReadRequest
from raypipe.corpora.segment import Segment
from raypipe.corpora.sources import open_source
from raypipe.errors import DecodeError, RaypipeError
from raypipe.isolation import iterating
from raypipe.labels import LABEL_SETS, LabelSet
from raypipe.lossless import as_flac
from raypipe.parsing import parse_answer
from raypipe.prompts import template_source
from raypipe.records import Failure, Utterance
from raypipe.runtime.infer.prompts import usable_source
from raypipe.runtime.ingest.config import load_ingest_config
from raypipe.shards import ShardIndex, read_index, read_shard, write_shards
from raypipe.store.location import Location
from raypipe.votes import VotePolicy

LABELS = LabelSet(("anger", "happiness", "sadness"))
LIMITS = AudioLimits(max_duration_s=60.0)
RATE = 8_000

Outcome = Literal["whole", "in part", "refused"]


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
        match int(rng.integers(0, 8)):
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
            case 6:  # a size, a count or an offset
                width = int(rng.choice([2, 4, 8]))
                at -= at % width
                value = int(rng.choice([0, -1, 2**31 - 1, -(2**31), rng.integers(0, 2**20)]))
                changed[at : at + width] = (value % 256**width).to_bytes(width, "little")
            case _:
                changed[at:at] = rng.bytes(length)
    return bytes(changed)


@dataclass(frozen=True)
class InputKind:
    """A kind of input.

    Attributes:
        write: puts a whole one into an empty folder, and says which files can be damaged.
        read: what becomes of the folder, of whose files one may be damaged; raises RaypipeError
            where it is refused as a whole.
    """

    write: Callable[[Path], Iterable[Path]]
    read: Callable[[Path, Path], Outcome]


class MutatedInput:
    """An input whose files are damaged again and again.

    Args:
        name: of the kind.
        folder: an empty one.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self._name, self._kind, self._folder = name, KINDS[name], folder
        self._whole = {path: path.read_bytes() for path in self._kind.write(folder)}
        for path in self._whole:
            assert self._kind.read(folder, path) == "whole"

    def outcome(self, seed: int) -> Outcome:
        """What becomes of it with the damages of a seed.

        Raises:
            AssertionError: for a refusal that does not name the file, or cannot be printed.
            Exception: that should have been a refusal.
        """
        rng = np.random.default_rng([zlib.crc32(self._name.encode()), seed])
        path = [*self._whole][seed % len(self._whole)]
        path.write_bytes(mutated(self._whole[path], rng))
        try:
            return self._kind.read(self._folder, path)
        except RaypipeError as error:
            message = str(error)
            assert len(message.encode()) < 4_000, message[:4_000]
            assert self._folder.name in message or path.name in message, message
            return "refused"
        finally:
            path.write_bytes(self._whole[path])


class MutationHost:
    """Reads damaged inputs of one kind.

    Args:
        kind: its name.
    """

    def __init__(self, kind: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mutated-")
        self._input = MutatedInput(kind, Path(self._folder.name))

    def outcomes(self, seeds: list[int]) -> list[tuple[str, float]]:
        """Outcome and seconds of each."""
        results = []
        for seed in seeds:
            began = time.monotonic()
            try:
                outcome: str = self._input.outcome(seed)
            except Exception as error:  # it is what is looked for
                outcome = f"fault: {type(error).__name__}: {str(error)[:200]}"
            results.append((outcome, time.monotonic() - began))
        return results

    def peak_mb(self) -> float:
        """Largest memory of this process, and of one that reads tables for it, in MB."""
        pids = ["self", *(str(host.pid) for host in iterating._idle)]
        return max(_peak_kb(pid) for pid in pids) / 1e3


def _peak_kb(pid: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0


# --- audio ----------------------------------------------------------------------------------------


def noise(kind: str) -> bytes:
    """A second of noise."""
    buffer = io.BytesIO()
    samples = np.random.default_rng(0).normal(0, 0.1, RATE)
    soundfile.write(buffer, samples, RATE, format=kind)
    return buffer.getvalue()


def recording(*kinds: str) -> InputKind:
    """A recording in every one of these formats, which a manifest names."""

    def write(folder: Path) -> Iterator[Path]:
        lines = []
        for kind in kinds:
            path = folder / f"{kind.lower()}.wav"
            path.write_bytes(noise(kind))
            lines.append({"id": kind, "audio": path.name, "votes": ["sad"]})
            lines.append({**lines[-1], "id": f"{kind} part", "offset": 0.25, "duration": 0.5})
            yield path
        (folder / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))

    def read(folder: Path, damaged: Path) -> Outcome:
        hear(damaged.read_bytes())
        return told(rows_of("manifest", folder / "m.jsonl"), folder)

    return InputKind(write, read)


def hear(audio: bytes) -> None:
    """Take a recording in every way there is; each may refuse it by name."""
    looks: tuple[Callable[[bytes], object], ...] = (
        lambda audio: read_header(audio, LIMITS),
        lambda audio: measure(audio, LIMITS),
        as_flac,
        Segment(0.25, 0.5).cut,
        Segment(0.5, None, (0,)).cut,
        lambda audio: decode(audio, sampling_rate=RATE, limits=LIMITS),
    )
    for look in looks:
        with suppress(DecodeError):
            heard = look(audio)
            if isinstance(heard, np.ndarray):
                assert heard.size
                assert np.isfinite(heard).all()


# --- corpora --------------------------------------------------------------------------------------


def rows_of(reader: str, source: Path) -> Iterator[Utterance | Failure]:
    """Everything that a reader gives."""
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


def told(rows: Iterable[Utterance | Failure], folder: Path) -> Outcome:
    """Whether rows are good; a failure must have a reason and name a file of the folder."""
    outcome: Outcome = "whole"
    names = {path.name for path in folder.rglob("*") if path.is_file()}
    for row in rows:
        if isinstance(row, Failure):
            assert row.error_type
            assert len(row.message.encode()) < 4_000
            assert any(name in row.message for name in names), row.message
            outcome = "in part"
            continue
        assert 0 < row.duration_s < 3600
        assert row.utterance_id.encode()
        assert all(word for vote in row.votes for word in vote.labels)
        hear(row.audio)
    return outcome


def corpus(
    reader: str, source: str, write: Callable[[Path], object], *, clips: int = 2
) -> InputKind:
    """A corpus as a reader takes it, whose clips, beside it, stay whole."""

    def written(folder: Path) -> Iterator[Path]:
        for number in range(clips):
            (folder / f"u{number}.wav").write_bytes(CLIP)
        write(folder)
        yield from sorted(
            path for path in folder.rglob("*") if path.is_file() and path.suffix != ".wav"
        )

    return InputKind(written, lambda folder, _: told(rows_of(reader, folder / source), folder))


def lines(name: str, *documents: object) -> Callable[[Path], object]:
    """A file of JSON lines, packed if its name says so."""
    data = "\n".join(map(json.dumps, documents)).encode()
    packed = gzip.compress(data) if name.endswith(".gz") else data
    return lambda folder: (folder / name).write_bytes(packed)


NATIVE = (
    {"id": "a", "audio": "u0.wav", "votes": ["angry", "sad"], "speaker": 7, "arousal": 3.5},
    {"id": "b", "audio": "u1.wav", "soft_label": {"anger": 0.5, "sad": 0.5}, "channel": 0},
    {"id": "c", "audio": "u0.wav", "votes": [{"annotator": "x", "labels": ["sad"]}]},
    {"audio_filepath": "u1.wav", "offset": 0.01, "duration": 0.05, "label": "sad"},
)


def cut(name: str) -> dict[str, object]:
    """A Lhotse cut."""
    source = {"type": "file", "channels": [0], "source": "u0.wav"}
    told_of = {"sources": [source], "sampling_rate": 16_000, "duration": 0.1}
    shape = {"start": 0.0, "duration": 0.1, "channel": 0, "type": "MonoCut"}
    label = [{"start": 0.0, "duration": 0.1, "custom": {"emotion": "sad"}}]
    return {"id": name, **shape, "supervisions": label, "recording": told_of}


def sheet(between: str) -> Callable[[Path], object]:
    """A table of text."""
    rows = ["id audio votes transcript", 'a u0.wav angry|sad "yes,it""s"', "b u1.wav sad no"]
    text = "\n".join(row.replace(" ", between) for row in rows)
    return lambda folder: (folder / "m.csv").write_text(text)


def speechbrain(folder: Path) -> None:
    entries = {f"u{n}": {"wav": "{data_root}/u0.wav", "emo": "sad", "length": 1.5} for n in "012"}
    (folder / "m.json").write_text(json.dumps(entries, indent=1))


def kaldi(folder: Path) -> None:
    (folder / "wav.scp").write_text("r0 u0.wav\nr1 u1.wav\n")
    (folder / "segments").write_text("a r0 0.0 0.05\nb r1 0.02 -1\n")
    (folder / "utt2emo").write_text("a sad\nb angry happy\n")


def audio_folder(folder: Path) -> None:
    rows = ["file_name,label,text", 'u0.wav,sad,"yes, yes"', "u1.wav,angry,no"]
    (folder / "metadata.csv").write_text("\n".join(rows))


def emo_superb(folder: Path) -> None:
    rows = ["FileName,angry,sad,happy,EmoAct", "u0.wav,0.2,0.4,0.4,3.5", "u1.wav,1,0,0,2"]
    (folder / "p").mkdir()
    (folder / "p/t.csv").write_text("\n".join(rows))


def tar(path: Path, **members: bytes) -> None:
    """A tar file; ``__`` in a keyword stands for a dot."""
    with tarfile.open(path, "w") as made:
        for keyword, data in members.items():
            member = tarfile.TarInfo(keyword.replace("__", "."))
            member.size = len(data)
            made.addfile(member, io.BytesIO(data))


def webdataset(folder: Path) -> None:
    fields = json.dumps({"emotion": "sad", "spk": "7"}).encode()
    tar(
        folder / "m.tar",
        a__wav=CLIP,
        a__json=fields,
        b__flac=as_flac(CLIP).audio,
        b__cls=b"sad",
    )


def nemo_tarred(folder: Path) -> None:
    tar(folder / "audio_0.tar", a__wav=CLIP, b__wav=CLIP)
    told_of = ({"audio_filepath": f"{n}.wav", "shard_id": 0, "label": "sad"} for n in "ab")
    lines("tarred_audio_manifest.json", *told_of)(folder)


def shar(folder: Path) -> None:
    tar(folder / "recording.000000.tar", a__wav=CLIP, a__json=b"{}", b__wav=CLIP, b__json=b"{}")
    lines("cuts.000000.jsonl.gz", cut("a"), cut("b"))(folder)


def hf_table() -> pa.Table:
    """A table as the hub has them."""
    kind = {"_type": "ClassLabel", "names": ["sad", "angry"]}
    metadata = {"huggingface": json.dumps({"info": {"features": {"label": kind}}})}
    audio = [{"bytes": CLIP, "path": "a.wav"}, {"bytes": None, "path": "u0.wav"}]
    table = pa.table({"audio": audio, "label": [0, 1], "text": ["yes", None]})
    return table.replace_schema_metadata(metadata)


def parquet(folder: Path) -> None:
    pq.write_table(hf_table(), folder / "m.parquet")


def arrow(
    table: Callable[[], pa.Table], *, stream: bool, packed: str | None = None
) -> Callable[[Path], None]:
    """A table as Arrow's file or stream."""

    def write(folder: Path) -> None:
        made = table()
        options = pa.ipc.IpcWriteOptions(compression=packed)
        new = partial(pa.ipc.new_stream if stream else pa.ipc.new_file, options=options)
        with pa.OSFile(str(folder / "m.arrow"), "wb") as sink, new(sink, made.schema) as writer:
            writer.write_table(made)

    return write


def decoded_table() -> pa.Table:
    """A table whose audio was decoded."""
    audio = [{"array": [0.0, 0.5, -0.5] * 100, "sampling_rate": 8000, "path": n} for n in "ab"]
    return pa.table({"audio": audio, "emotion": ["sad", "angry"]})


def nested_table() -> pa.Table:
    """A table of lists, structs, maps and dictionaries."""
    votes = [[{"annotator": "x", "labels": ["sad", "angry"]}], [{"annotator": "y", "labels": []}]]
    return pa.table(
        {
            "audio": [{"bytes": CLIP, "path": "a.wav"}, {"bytes": CLIP, "path": "b.wav"}],
            "votes": votes,
            "split": pa.array(["train", "test"]).dictionary_encode(),
            "speaker": pa.array([b"1", b"2"], pa.large_binary()).cast(pa.large_string()),
            "context": pa.array([["so", "well"], None], pa.large_list(pa.string())),
            "shares": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int8())),
            "arousal": pa.array([1.5, None], pa.float64()),
        }
    )


def packed_parquet(folder: Path) -> None:
    pq.write_table(nested_table(), folder / "m.parquet", compression="zstd")


# --- raypipe's own --------------------------------------------------------------------------------


def write_own_shards(folder: Path) -> Iterator[Path]:
    lines("m.jsonl", *NATIVE)(folder)
    for number in range(2):
        (folder / f"u{number}.wav").write_bytes(CLIP)
    rows = list(rows_of("manifest", folder / "m.jsonl"))
    write_shards(rows, Location.parse(str(folder / "own")), LABELS, source="test")
    return (path for path in sorted((folder / "own").rglob("*")) if path.is_file())


def read_own_shards(folder: Path, damaged: Path) -> Outcome:
    place = Location.parse(str(folder / "own"))
    index = read_index(place)
    outcomes = [
        # Without the digest, which would refuse nearly all of them.
        told(read_shard(place, entry.model_copy(update={"sha256": None}), LABELS), folder)
        for entry in index.shards
    ]
    return "whole" if {*outcomes} == {"whole"} else "in part"


# --- texts ----------------------------------------------------------------------------------------


def write_answers(folder: Path) -> Iterator[Path]:
    """A file for every answer that has a reading."""
    for number, (text, shares) in enumerate(TEXTS):
        if shares is not None:
            path = folder / f"{number}.txt"
            path.write_text(text, encoding="utf-8", errors="surrogatepass")
            yield path


def read_answer(folder: Path, damaged: Path) -> Outcome:
    text = damaged.read_bytes().decode("utf-8", "replace")
    parsed = parse_answer(text, LABEL_SETS["crema-d-6"])
    if parsed.probs is None:
        assert parsed.invalid_reason
        return "refused"
    assert min(parsed.probs) >= 0
    assert abs(sum(parsed.probs) - 1) < 1e-9
    return "whole"


def write_templates(folder: Path) -> Iterator[Path]:
    for name in ("distribution", "closed_form", "closed_form+cot"):
        path = folder / f"{name}.jinja"
        path.write_text(template_source(name))
        yield path


def read_template(folder: Path, damaged: Path) -> Outcome:
    index = ShardIndex(labels=LABELS.names, shards=(), dataset="x", rows=0, fingerprint="x")
    usable_source(str(damaged), LABELS, index)
    return "whole"


def config(page: str, file: str, load: Callable[[Path], object]) -> InputKind:
    """A YAML file that a page shows."""

    def write(folder: Path) -> Iterator[Path]:
        [text] = [block.text for block in blocks(page) if block.file == file]
        (folder / file).write_text(text)
        yield folder / file

    def read(folder: Path, damaged: Path) -> Outcome:
        load(damaged)
        return "whole"

    return InputKind(write, read)


INGEST_YAML = """
corpus: manifest
source: clips.jsonl
output: shards/
label_set: [anger, happiness, sadness]
options: {audio_root: /data, other_labels: [other]}
votes: {outside: drop_vote, merge: {angry: anger}, clips: majority}
limits: {max_duration_s: 600, max_bytes: 10_000_000}
allow: [/recordings, "s3://bucket/prefix"]
storage: {endpoint: "http://127.0.0.1:9000", patience_s: 60}
"""


def write_ingest_config(folder: Path) -> Iterator[Path]:
    (folder / "ingest.yaml").write_text(INGEST_YAML)
    yield folder / "ingest.yaml"


def read_ingest_config(folder: Path, damaged: Path) -> Outcome:
    load_ingest_config(damaged)
    return "whole"


KINDS: dict[str, InputKind] = {
    "audio: WAV": recording("WAV", "WAVEX", "RF64"),
    "audio: FLAC": recording("FLAC"),
    "audio: MP3": recording("MP3"),
    "audio: Ogg": recording("OGG"),
    "audio: AIFF, AU, CAF, W64": recording("AIFF", "AU", "CAF", "W64"),
    "manifest, JSONL": corpus("manifest", "m.jsonl", lines("m.jsonl", *NATIVE)),
    "manifest, JSONL.gz": corpus("manifest", "m.jsonl.gz", lines("m.jsonl.gz", *NATIVE)),
    "manifest, CSV": corpus("manifest", "m.csv", sheet(",")),
    "manifest, semicolons": corpus("manifest", "m.csv", sheet(";")),
    "Lhotse": corpus("lhotse", "m.jsonl", lines("m.jsonl", *map(cut, "abc"))),
    "SpeechBrain": corpus("speechbrain", "m.json", speechbrain),
    "EMO-SUPERB": corpus("emo-superb", "p/t.csv", emo_superb),
    "Kaldi": corpus("kaldi", "", kaldi),
    "audio folder": corpus("audio-folder", "", audio_folder),
    "WebDataset": corpus("webdataset", "m.tar", webdataset),
    "NeMo tar": corpus("nemo-tarred", "audio_0.tar", nemo_tarred),
    "Lhotse Shar": corpus("lhotse-shar", "", shar),
    "Parquet": corpus("parquet", "m.parquet", parquet),
    "Arrow file": corpus("parquet", "m.arrow", arrow(hf_table, stream=False)),
    "Arrow stream": corpus("parquet", "m.arrow", arrow(hf_table, stream=True)),
    "Arrow, decoded audio": corpus("parquet", "m.arrow", arrow(decoded_table, stream=False)),
    "Arrow file, nested": corpus("parquet", "m.arrow", arrow(nested_table, stream=False)),
    "Arrow stream, packed": corpus(
        "parquet", "m.arrow", arrow(nested_table, stream=True, packed="zstd")
    ),
    "Parquet, nested, packed": corpus("parquet", "m.parquet", packed_parquet),
    "own shards": InputKind(write_own_shards, read_own_shards),
    "model answers": InputKind(write_answers, read_answer),
    "templates": InputKind(write_templates, read_template),
    "run configs": config("raypipe/config/README.md", "full.yaml", load_config),
    "ingest configs": InputKind(write_ingest_config, read_ingest_config),
}
"""Every kind by its name."""
