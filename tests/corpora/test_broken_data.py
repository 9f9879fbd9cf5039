"""No accident to users' own files stops a reader: it gives clips and failures, or refuses."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
from collections.abc import Iterator

import pyarrow as pa
import pytest
from corpus_folder import CLIP, CorpusFolder, clip
from mutilated import mutilated

from raypipe.corpora.pending import PendingClip
from raypipe.corpora.readers import READERS, ReadRequest
from raypipe.corpora.sources import open_source
from raypipe.errors import CorpusError
from raypipe.labels import LabelSet
from raypipe.records import Failure, Utterance
from raypipe.store.schemas import SHARD
from raypipe.store.tables import errors_table, utterance_row
from raypipe.votes import VotePolicy

LABELS = LabelSet(("anger", "happiness", "sadness"))


def lines(*documents: object) -> bytes:
    return "".join(f"{json.dumps(one)}\n" for one in documents).encode()


def tar(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name.replace("_", "."))
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def parquet() -> bytes:
    stream = io.BytesIO()
    audio = [{"bytes": CLIP, "path": "a.wav"}, {"bytes": CLIP, "path": "b.wav"}]
    table = pa.table({"audio": audio, "emotion": ["sad", "angry"], "text": ["yes", None]})
    pa.parquet.write_table(table, stream)
    return stream.getvalue()


def cut(name: str) -> dict[str, object]:
    source = {"type": "file", "channels": [0], "source": f"{name}.wav"}
    recording = {"id": name, "sources": [source], "sampling_rate": 16_000, "duration": 0.1}
    told = {"id": name, "text": "yes", "custom": {"emotion": "happy"}}
    return {"id": name, "start": 0, "duration": 0.1, "supervisions": [told], "recording": recording}


NEMO = lines(
    {"audio_filepath": "a.wav", "offset": 0.0, "duration": 0.05, "label": "sad", "shard_id": 0},
    {"audio_filepath": "b.wav", "label": "angry", "text": "no", "shard_id": 0},
)
SUPERB = (
    b"FileName,angry,sad,happy,EmoAct,SpkrID,Split_Set\n"
    b"a.wav,0.95,0.025,0.025,3.5,1,Train\nb.wav,0.4875,0.4875,0.025,2,2,Test\n"
)
DATA: dict[str, tuple[str, dict[str, bytes]]] = {
    "manifest": (
        "m.jsonl",
        {
            "m.jsonl": lines(
                {"id": "a", "audio": "a.wav", "votes": [{"labels": ["sad"], "typed": "well"}]},
                {"id": "b", "audio": "b.wav", "soft_label": [0.5, 0.5, 0], "context": ["so"]},
            )
        },
    ),
    "nemo": ("m.jsonl", {"m.jsonl": NEMO}),
    "nemo-tarred": (
        "audio_0.tar",
        {"audio_0.tar": tar(a_wav=CLIP, b_wav=CLIP), "tarred_audio_manifest.json": NEMO},
    ),
    "lhotse": ("c.jsonl.gz", {"c.jsonl.gz": gzip.compress(lines(cut("a"), cut("b")))}),
    "lhotse-shar": (
        "",
        {
            "cuts.000000.jsonl.gz": gzip.compress(lines(cut("a"), cut("b"))),
            "recording.000000.tar": tar(a_wav=CLIP, a_json=b"{}", b_wav=CLIP, b_json=b"{}"),
        },
    ),
    "speechbrain": (
        "t.json",
        {"t.json": b'{"a": {"wav": "{data_root}/a.wav", "emo": "hap"},\n"b": {"wav": "b.wav"}}'},
    ),
    "emobox": (
        "m.jsonl",
        {
            "m.jsonl": lines(
                {"key": "a", "wav": "a.wav", "emo": "SAD"}, {"key": "b", "wav": "b.wav"}
            )
        },
    ),
    "kaldi": (
        "",
        {
            "wav.scp": b"r a.wav\n",
            "segments": b"a r 0 0.05\nb r 0.05 -1\n",
            "text": b"a so it is\nb yes\n",
            "utt2emo": b"a sad\nb angry sad\n",
        },
    ),
    "audio-folder": (
        "",
        {"metadata.csv": b'file_name,label,text\na.wav,sad,"yes, yes"\nb.wav,angry,no\n'},
    ),
    "emo-superb": ("Primary/t.csv", {"Primary/t.csv": SUPERB}),
    "webdataset": (
        "x.tar",
        {"x.tar": tar(a_wav=CLIP, a_json=b'{"votes": ["sad"]}', b_wav=CLIP, b_cls=b"angry")},
    ),
    "parquet": ("t.parquet", {"t.parquet": parquet()}),
}
OPTIONS: dict[str, dict[str, object]] = {"emo-superb": {"invert_smoothing": True}}


def read(folder: CorpusFolder, name: str) -> Iterator[Utterance | Failure]:
    source = open_source(name, OPTIONS.get(name))
    uri = str(folder.root / DATA[name][0])
    for one in source.open(ReadRequest(uri, None, LABELS, VotePolicy())):
        if isinstance(one, PendingClip):
            yield one.read()
        elif isinstance(one, Failure):
            yield one
        else:
            yield from one.read()


def fit_for_tables(rows: list[Utterance | Failure]) -> None:
    found = [utterance_row(row) for row in rows if isinstance(row, Utterance)]
    pa.Table.from_pylist(found, schema=SHARD)
    failures = [(None, row) for row in rows if isinstance(row, Failure)]
    errors_table(failures, run="ingest", shard=None, shard_rows=1)


def test_no_reader_is_left_out() -> None:
    assert {*DATA} == {*READERS}


@pytest.mark.parametrize("name", DATA)
def test_no_accident_stops_a_reader(folder: CorpusFolder, name: str) -> None:
    files = DATA[name][1]
    for file, content in files.items():
        folder.file(file, content)
    for stem in "ab":
        folder.file(f"{stem}.wav", clip())
    assert [type(row) for row in read(folder, name)] == [Utterance, Utterance]
    chance = random.Random(name)
    outcomes = set()
    for _ in range(40):
        file = chance.choice(sorted(files))
        folder.file(file, mutilated(files[file], chance))
        try:
            rows = list(read(folder, name))
        except CorpusError as error:
            str(error).encode()
            outcomes.add(CorpusError)
        else:
            fit_for_tables(rows)
            outcomes |= {type(row) for row in rows if isinstance(row, Failure)}
        folder.file(file, files[file])
    assert outcomes  # some of these accidents must have been noticed
