"""Nothing outside of a corpus is read, whatever its files, lines and links name."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus_folder import CLIP, CorpusFolder
from corpus_miniatures import MINIATURES, Miniature

from raypipe.corpora import load_corpus
from raypipe.corpora.pending import PendingClip
from raypipe.corpora.readers import READERS, ReadRequest
from raypipe.corpora.sources import open_source
from raypipe.errors import CorpusError, OutsideError
from raypipe.labels import LabelSet
from raypipe.records import Failure, Utterance
from raypipe.store.location import Location
from raypipe.votes import VotePolicy

LABELS = LabelSet(("anger", "sadness"))


def rows_of(
    reader: str, source: str | Path, allow: tuple[str, ...] = ()
) -> Iterator[Utterance | Failure]:
    allowed = tuple(map(Location.parse, allow))
    request = ReadRequest(str(source), None, LABELS, VotePolicy(), allowed)
    opened: Any = open_source(reader).open(request)
    if isinstance(opened, list):
        for container in opened:
            yield from container.read()
        return
    for row in opened:
        yield row.read() if isinstance(row, PendingClip) else row


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outside")
    (folder / "x.wav").write_bytes(CLIP)
    return folder


def manifest(folder: CorpusFolder) -> str:
    lines = [{"id": name, "audio": f"{name}.wav", "votes": ["sad"]} for name in "ax"]
    folder.file("m.jsonl", "\n".join(map(json.dumps, lines)))
    return "m.jsonl"


def kaldi(folder: CorpusFolder) -> str:
    folder.file("wav.scp", "a a.wav\nx x.wav\n")
    folder.file("utt2emo", "a sad\nx sad\n")
    return ""


def table(folder: CorpusFolder) -> str:
    audio = [{"bytes": None, "path": f"{name}.wav"} for name in "ax"]
    pq.write_table(pa.table({"audio": audio, "label": ["sad"] * 2}), folder.root / "m.parquet")
    return "m.parquet"


def metadata(folder: CorpusFolder) -> str:
    folder.file("metadata.csv", "file_name,label\na.wav,sad\nx.wav,sad\n")
    return ""


def by_label(folder: CorpusFolder) -> str:
    (folder.root / "sad").mkdir()
    for name in "ax":
        (folder.root / f"{name}.wav").rename(folder.root / f"sad/{name}.wav")
    return ""


def emo_superb(folder: CorpusFolder) -> str:
    rows = ["FileName,anger,sadness", "a.wav,0.0,1.0", "x.wav,0.0,1.0"]
    folder.file("p/t.csv", "\n".join(rows))
    return "p/t.csv"


LINKED: dict[str, Callable[[CorpusFolder], str]] = {
    "manifest": manifest,
    "kaldi": kaldi,
    "parquet": table,
    "audio-folder": metadata,
    "audio-folder by label": by_label,
    "emo-superb": emo_superb,
}


@pytest.mark.parametrize("name", LINKED)
def test_a_recording_that_is_a_link_out_is_one_failure(
    folder: CorpusFolder, outside: Path, name: str
) -> None:
    folder.file("a.wav", CLIP)
    (folder.root / "x.wav").symlink_to(outside / "x.wav")
    source = folder.root / LINKED[name](folder)
    reader = name.partition(" ")[0]
    good, failure = rows_of(reader, source)
    assert isinstance(good, Utterance)
    assert isinstance(failure, Failure)
    assert failure.error_type == "bad_audio_path"
    assert "x.wav" in failure.message
    assert "--allow" in failure.message
    allowed = rows_of(reader, source, (str(outside),))
    assert [type(row) for row in allowed] == [Utterance, Utterance]


def tar(path: Path) -> None:
    with tarfile.open(path, "w") as made:
        made.add(__file__, "a.cls")


def test_a_container_that_is_a_link_out_is_refused(folder: CorpusFolder, outside: Path) -> None:
    tar(outside / "x0.tar")
    (folder.root / "x0.tar").symlink_to(outside / "x0.tar")
    (folder.root / "x.parquet").symlink_to(outside / "x.wav")
    folder.file("cuts.000000.jsonl", "{}")
    (folder.root / "recording.000000.tar").symlink_to(outside / "x0.tar")
    folder.file("tarred_audio_manifest.json", "{}")
    for reader, name in (
        ("webdataset", r"0\.tar"),
        ("parquet", r"x\.parquet"),
        ("lhotse-shar", r"recording\.000000\.tar"),
        ("nemo-tarred", r"0\.tar"),
    ):
        with pytest.raises(CorpusError, match=rf"{name} leads to .*which is not below"):
            list(rows_of(reader, folder.root))
    # Whoever names the link itself means what it leads to.
    [row] = rows_of("webdataset", folder.root / "x0.tar")
    assert isinstance(row, Failure)
    assert row.error_type == "unknown_label"


def test_no_reader_is_left_out() -> None:
    tested = {name.partition(" ")[0] for name in LINKED}
    tested |= {"webdataset", "lhotse-shar", "nemo-tarred"}
    assert {READERS[name] for name in tested} == {*READERS.values()}


@pytest.mark.parametrize("miniature", MINIATURES.values(), ids=[*MINIATURES])
def test_links_out_of_a_corpus_are_refused(
    folder: CorpusFolder, outside: Path, miniature: Miniature
) -> None:
    miniature.write(folder)
    corpus = load_corpus(miniature.corpus, miniature.options)
    place = Location.parse(str(folder.root))
    whole = [row for row in corpus.read(place) if isinstance(row, Utterance)]
    move(folder.root, outside, *miniature.recordings)
    rows = list(corpus.read(place.confined()))
    assert {getattr(row, "error_type", "good") for row in rows} == {"bad_audio_path"}
    assert list(corpus.read(place.confined([Location.parse(str(outside))]))) == whole
    move(folder.root, outside, miniature.file)
    with pytest.raises(OutsideError, match=rf"{Path(miniature.file).name} leads to"):
        list(corpus.read(place.confined()))


def move(root: Path, outside: Path, *names: str) -> None:
    for name in names:
        target = outside / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (root / name).rename(target)
        (root / name).symlink_to(target)


def test_objects_lie_below_the_manifest_the_root_or_what_is_allowed(
    folder: CorpusFolder, bucket: Location, outside: Path
) -> None:
    names = ("mine/a.wav", "root/b.wav", "other/c.wav", "others/d.wav")
    for name in names:
        bucket.write(name, CLIP)
    lines = [
        {"id": name[-5], "audio": f"{bucket.uri}/{name}", "votes": ["sad"]}
        for name in (
            "mine/a.wav",
            "root/b.wav",
            "other/c.wav",
            "others/d.wav",
            "mine/../other/c.wav",
        )
    ]
    lines[-1]["id"] = "e"
    lines.append({"id": "f", "audio": "file:///etc/passwd", "votes": ["sad"]})
    lines.append({"id": "g", "audio": "http://127.0.0.1/x.wav", "votes": ["sad"]})
    text = "\n".join(map(json.dumps, lines))
    bucket.write("mine/m.jsonl", text.encode())
    folder.file("m.jsonl", text)

    def good(source: str, *allow: str, **options: str) -> str:
        request = ReadRequest(source, None, LABELS, VotePolicy(), tuple(map(Location.parse, allow)))
        rows: Any = open_source("manifest", options).open(request)
        found = [row.read() if isinstance(row, PendingClip) else row for row in rows]
        refused = {row.error_type for row in found if isinstance(row, Failure)}
        assert refused == {"bad_audio_path"}
        return "".join(row.utterance_id for row in found if isinstance(row, Utterance))

    there, here = f"{bucket.uri}/mine/m.jsonl", str(folder.root / "m.jsonl")
    assert good(there) == "a"
    assert good(here) == ""
    assert good(there, audio_root=f"{bucket.uri}/root") == "ab"
    assert good(there, f"{bucket.uri}/other") == "ace"
    assert good(here, f"{bucket.uri}/other", f"{bucket.uri}/others/") == "cde"
    assert good(here, f"{bucket.uri}") == "abcde"
