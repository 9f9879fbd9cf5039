"""A corpus becomes shards on a real Ray: complete, the same every time, whatever is in the way."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from corpus_folder import CLIP, CorpusFolder, clip
from rich.console import Console

from raypipe.config import checked
from raypipe.errors import ConfigError, CorpusError, FingerprintError, ShardError
from raypipe.records import Utterance
from raypipe.runtime.ingest.config import IngestConfig
from raypipe.runtime.ingest.job import ingest
from raypipe.runtime.ingest.show import show_ingest
from raypipe.shards import ShardIndex, read_index, read_shard
from raypipe.store.location import Location
from raypipe.store.parquet import from_parquet_bytes

LABELS = ("anger", "happiness", "sadness")

pytestmark = pytest.mark.usefixtures("ray_cluster")


@pytest.fixture
def folder(tmp_path: Path) -> CorpusFolder:
    return CorpusFolder(tmp_path / "corpus")


def run(corpus: str, source: object, output: object, **settings: Any) -> ShardIndex:
    document = {"corpus": corpus, "source": str(source), "output": str(output), **settings}
    config = checked(IngestConfig, document, "test")
    index = ingest(config, console=Console(file=io.StringIO()))
    assert read_index(Location.parse(str(output))) == index
    return index


def manifest(folder: Path, count: int = 10) -> Path:
    """Clips of different lengths, all good."""
    lines = []
    for number in range(count):
        (folder / f"{number}.wav").write_bytes(clip(0.1 + number / 100))
        votes = ["anger", LABELS[number % 3], "happiness"]
        lines.append({"id": f"c{number}", "audio": f"{number}.wav", "votes": votes})
    path = folder / "clips.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def rows(place: Location) -> list[Utterance]:
    found = [row for entry in read_index(place).shards for row in read_shard(place, entry)]
    assert all(isinstance(row, Utterance) for row in found)
    return [row for row in found if isinstance(row, Utterance)]


def table(place: Location, name: str) -> list[dict[str, Any]]:
    return from_parquet_bytes(place.read(name)).to_pylist()


def content(place: Location) -> dict[str, bytes]:
    return {name: place.read(name) for name in place.list("")}


def samples(audio: bytes) -> np.ndarray:
    found: np.ndarray = soundfile.read(io.BytesIO(audio), dtype="int16")[0]
    return found


def test_a_manifest_becomes_shards(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    source, output = manifest(tmp_path / "in"), Location.parse(str(tmp_path / "out"))
    index = run("manifest", source, output.uri, label_set=LABELS, rows_per_shard=4)
    assert [(entry.name, entry.rows) for entry in index.shards] == [
        ("shard-000000.parquet", 4),
        ("shard-000001.parquet", 4),
        ("shard-000002.parquet", 2),
    ]
    assert (index.rows, index.failures, index.excluded, index.votes) == (10, 0, 0, 30)
    assert (index.corpus, index.audio, index.kept_original) == ("manifest", "flac", {})
    assert (index.source, index.dataset, index.licence) == (str(source), "clips", "")
    assert index.duration_s == pytest.approx(10 * 0.1 + 0.45)
    found = rows(output)
    assert [row.utterance_id for row in found] == [f"c{number}" for number in range(10)]
    assert found[1].soft_label == pytest.approx((1 / 3, 2 / 3, 0))
    for number, row in enumerate(found):
        assert row.audio.startswith(b"fLaC")
        original = (tmp_path / "in" / f"{number}.wav").read_bytes()
        np.testing.assert_array_equal(samples(row.audio), samples(original))
    assert not output.exists("ingest_errors.parquet")


def test_one_worker_or_many_and_a_second_time_give_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    source = manifest(tmp_path / "in", 12)
    with source.open("a") as text:
        text.write('{"id": "x"}\n')
    settings = {"label_set": LABELS, "rows_per_shard": 2}
    outputs = [Location.parse(str(tmp_path / name)) for name in ("one", "many")]
    first = run("manifest", source, outputs[0].uri, workers=1, **settings)
    second = run("manifest", source, outputs[1].uri, workers=6, **settings)
    assert first == second
    assert content(outputs[0]) == content(outputs[1])
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "one").glob("shard-*")}
    assert run("manifest", source, outputs[0].uri, **settings) == first
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_what_is_missing_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    source, output = manifest(tmp_path / "in"), Location.parse(str(tmp_path / "out"))
    settings = {"label_set": LABELS, "rows_per_shard": 2}
    run("manifest", source, output.uri, **settings)
    before = content(output)
    for name in ("shard-000001.parquet", "shard-000004.parquet", "shards.json"):
        (tmp_path / "out" / name).unlink()
    run("manifest", source, output.uri, **settings)
    assert content(output) == before


def test_originals_are_kept_on_request_and_where_flac_would_lose(tmp_path: Path) -> None:
    kinds = {"a.wav": "WAV", "b.ogg": "OGG", "c.flac": "FLAC", "d.aiff": "AIFF"}
    lines = []
    for name, kind in kinds.items():
        (tmp_path / name).write_bytes(clip(0.2, kind=kind))
        lines.append(json.dumps({"id": name, "audio": name}))
    (tmp_path / "m.jsonl").write_text("\n".join(lines))
    flac, same = (Location.parse(str(tmp_path / name)) for name in ("flac", "same"))
    index = run("manifest", tmp_path / "m.jsonl", flac.uri, label_set=LABELS)
    assert index.kept_original == {"OGG/VORBIS": 1}
    assert [row.audio[:4] for row in rows(flac)] == [b"fLaC", b"OggS", b"fLaC", b"fLaC"]
    index = run("manifest", tmp_path / "m.jsonl", same.uri, label_set=LABELS, audio="original")
    assert (index.audio, index.kept_original) == ("original", {})
    assert [row.audio for row in rows(same)] == [(tmp_path / name).read_bytes() for name in kinds]


def crema_d(folder: CorpusFolder) -> None:
    """A CREMA-D folder with everything wrong in it that people have."""
    header = '"","A","D","F","H","N","S","fileName","numResponses","agreement","emoVote"\n'
    lines = [
        '"100001",0,0,0,0,4,0,"1001_IEO_NEU_XX",4,1,"N"',
        '"100002",3,0,0,0,1,0,"1002_IEO_ANG_HI",4,0.75,"A"',
        '"100003",0,0,0,4,0,0,"1003_IEO_HAP_LO",4,1,"Q"',  # an unknown label code
        '"100004",0,0,0,4,0,0,"1004_IEO_HAP_LO",4,1,"H"',  # a missing wav
        '"100005",0,0,0,4,0,0,"1005_IEO_HAP_L\xd6",4,1,"H"',  # a bad encoding
        '"100006",0,0,0,0,4,0,"1001_IEO_NEU_XX",4,1,"N"',  # listed twice
        '"100007",0,0,0,2,2,0,"1007_IEO_HAP_LO",4,0.5,"H:N"',  # a tie
        '"100008",0,0,0,0,0,4,"1008_IEO_SAD_LO",4,1,"S"',
    ]
    folder.file("processedResults/tabulatedVotes.csv", header + "\n".join(lines), "latin-1")
    stems = ("1001_IEO_NEU_XX", "1002_IEO_ANG_HI", "1003_IEO_HAP_LO", "1007_IEO_HAP_LO")
    folder.clips("AudioWAV", *stems, "9999_wrong")
    folder.file("AudioWAV/1008_IEO_SAD_LO.wav", CLIP[:200])  # cut short


def test_a_corpus_with_everything_wrong_gives_the_rest(
    folder: CorpusFolder, tmp_path: Path
) -> None:
    crema_d(folder)
    output = Location.parse(str(tmp_path / "out"))
    index = run("crema-d", folder.root, output.uri, selection="majority", rows_per_shard=1)
    assert [row.utterance_id for row in rows(output)] == ["1001_IEO_NEU_XX", "1002_IEO_ANG_HI"]
    assert (index.rows, index.failures, index.excluded) == (2, 6, 1)
    assert index.licence.startswith("Open Database License")
    assert (index.selection, index.options["modality"]) == ("majority", "voice")
    assert index.fixed_sentences
    file = "processedResults/tabulatedVotes.csv line"
    told = [
        (row["error_type"], row["row"], row["message"])
        for row in table(output, "ingest_errors.parquet")
    ]
    assert [(kind, line) for kind, line, _ in told] == [
        ("unknown_label", 4),
        ("missing_audio", 5),
        ("bad_name", 6),
        ("duplicate_id", 7),
        ("truncated", 9),
        ("no_votes", None),
    ]
    for _, line, message in told[:-1]:
        assert message.startswith(f"{file} {line}: ")
    assert told[-1][2].startswith("AudioWAV/9999_wrong.wav: ")
    [left_out] = table(output, "ingest_excluded.parquet")
    assert (left_out["utterance_id"], left_out["error_type"]) == ("1007_IEO_HAP_LO", "no_majority")
    assert left_out["message"].startswith(f"{file} 8: ")


def test_the_summary_adds_up_and_shows_the_first_failures(
    folder: CorpusFolder, tmp_path: Path
) -> None:
    crema_d(folder)
    index = run("crema-d", folder.root, tmp_path / "out", selection="majority")
    log = io.StringIO()
    show_ingest(index, Location.parse(str(tmp_path / "out")), Console(file=log, width=120))
    shown = " ".join(log.getvalue().split())
    assert "clips found 9" in shown
    assert "written 2 0.2 s" in shown
    assert "failed 6" in shown
    assert "duplicate_id 1" in shown
    assert "left out by the policy 1 no_majority 1" in shown
    assert "votes in the label set 8" in shown
    assert "tabulatedVotes.csv line 5" in shown
    assert f"all failures: {tmp_path}/out/ingest_errors.parquet" in shown


def tar(path: Path, *stems: str, torn: bool = False) -> None:
    with tarfile.open(path, "w") as made:
        for stem in stems:
            for ending, data in ((".wav", CLIP), (".cls", b"happy")):
                info = tarfile.TarInfo(stem + ending)
                info.size = len(data)
                made.addfile(info, io.BytesIO(data))
    if torn:
        path.write_bytes(path.read_bytes()[:-11_000])


def test_tar_files_become_shards_of_their_own(tmp_path: Path) -> None:
    tar(tmp_path / "t-00.tar", "a", "b", "c")
    tar(tmp_path / "t-01.tar", "d", "b", torn=True)
    tar(tmp_path / "t-02.tar", "e", "a")
    output = Location.parse(str(tmp_path / "out"))
    settings = {"label_set": LABELS, "rows_per_shard": 2}
    index = run("webdataset", tmp_path / "t-{00..02}.tar", output.uri, **settings)
    assert [row.utterance_id for row in rows(output)] == ["a", "b", "c", "d", "e", "t-02/a"]
    assert [entry.rows for entry in index.shards] == [2, 1, 1, 2]
    errors = [(row["error_type"], row["message"]) for row in table(output, "ingest_errors.parquet")]
    assert [kind for kind, _ in errors] == ["bad_tar"]
    assert errors[0][1].startswith("t-01.tar sample 2: ")
    before = content(output)
    (tmp_path / "out" / index.shards[1].name).unlink()
    run("webdataset", tmp_path / "t-{00..02}.tar", output.uri, **settings)
    assert content(output) == before


def test_tables_become_shards(tmp_path: Path) -> None:
    audio = [{"bytes": CLIP, "path": f"x/{name}.wav"} for name in "abcab"]
    made = pa.table({"audio": audio, "emotion": ["sad", "happy", "bored", "sad", "sad"]})
    pq.write_table(made.slice(0, 3), tmp_path / "train-0.parquet")
    pq.write_table(made.slice(3), tmp_path / "train-1.parquet")
    output = Location.parse(str(tmp_path / "out"))
    index = run("parquet", tmp_path, output.uri, label_set=LABELS)
    assert (index.rows, index.failures) == (2, 3)
    assert [row.split for row in rows(output)] == ["train", "train"]
    assert [row["message"] for row in table(output, "ingest_errors.parquet")][1:] == [
        "train-1.parquet row 1: 'x/a' came before, in train-0.parquet row 1",
        "train-1.parquet row 2: 'x/b' came before, in train-0.parquet row 2",
    ]


def test_a_table_damaged_in_its_audio_gives_what_can_be_read(tmp_path: Path) -> None:
    audio = [{"bytes": clip(0.1 + n / 100), "path": f"{n}.wav"} for n in range(6)]
    made = pa.table({"audio": audio, "emotion": ["sad"] * 6})
    path = tmp_path / "t.parquet"
    pq.write_table(made, path, row_group_size=2, compression="zstd", use_dictionary=False)
    column = pq.read_metadata(path).row_group(1).column(0)
    data = bytearray(path.read_bytes())
    data[column.data_page_offset : column.data_page_offset + 40] = bytes(40)
    path.write_bytes(data)
    output = Location.parse(str(tmp_path / "out"))
    index = run("parquet", path, output.uri, label_set=LABELS)
    assert [row.utterance_id for row in rows(output)] == ["0", "1"]
    assert (index.rows, index.failures) == (2, 4)
    errors = table(output, "ingest_errors.parquet")
    assert {row["error_type"] for row in errors} == {"bad_container"}
    assert [row["row"] for row in errors] == [3, 4, 5, 6]
    assert "t.parquet cannot be read beyond row 2" in errors[0]["message"]


def test_labels_and_votes_are_chosen_per_run(folder: CorpusFolder, tmp_path: Path) -> None:
    folder.clips("Actor_01", "03-01-01-01-01-01-01", "03-01-02-01-01-01-01")
    four = "iemocap-4"
    merged = {"merge": {"Calm": "neutral"}, "clips": "voted"}
    one = run("ravdess", folder.root, tmp_path / "1", label_set=four, votes=merged)
    two = run("ravdess", folder.root, tmp_path / "2", label_set=four, votes={"clips": "voted"})
    assert (one.rows, one.excluded, one.labels[0]) == (2, 0, "anger")
    assert (two.rows, two.excluded) == (1, 1)
    assert one.policy is not None
    assert one.policy.merges == {"calm": "neutral"}


def test_another_ingest_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    source, output = manifest(tmp_path / "in", 3), Location.parse(str(tmp_path / "out"))
    run("manifest", source, output.uri, label_set=LABELS)
    before = content(output)
    with pytest.raises(FingerprintError, match='audio was "flac", is now "original"'):
        run("manifest", source, output.uri, label_set=LABELS, audio="original")
    manifest(tmp_path / "in", 4)
    with pytest.raises(FingerprintError, match=r"of 3 inputs .* now there are 4"):
        run("manifest", source, output.uri, label_set=LABELS)
    assert content(output) == before


def test_a_shard_of_other_making_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    source, foreign = manifest(tmp_path / "in", 3), tmp_path / "out/shard-000000.parquet"
    pq.write_table(pa.table({"x": [1]}), foreign)
    before = foreign.read_bytes()
    with pytest.raises(FingerprintError, match="is not of this ingest") as raised:
        run("manifest", source, tmp_path / "out", label_set=LABELS)
    assert type(raised.value) is FingerprintError  # Ray's own would carry the worker's stack
    assert foreign.read_bytes() == before
    foreign.write_bytes(b"no Parquet")
    with pytest.raises(ShardError, match=r"is no shard: .*; remove it and repeat"):
        run("manifest", source, tmp_path / "out", label_set=LABELS)


def test_nothing_is_left_behind_by_a_config_that_cannot_work(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with pytest.raises(ConfigError, match="need a label set"):
        run("manifest", tmp_path / "m.jsonl", output)
    with pytest.raises(CorpusError, match="there is no manifest"):
        run("manifest", tmp_path / "m.jsonl", output, label_set=LABELS)
    with pytest.raises(CorpusError, match="there is nothing in"):
        run("emodb", tmp_path / "nothing", output)
    with pytest.raises(CorpusError, match=r"there is no .*/x-1\.tar"):
        run("webdataset", tmp_path / "x-1.tar", output, label_set=LABELS)
    assert not Location.parse(str(output)).list("")


def test_a_corpus_without_a_good_clip_has_an_index_without_shards(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text('{"id": "a", "audio": "a.wav"}\n')
    index = run("manifest", tmp_path / "m.jsonl", tmp_path / "out", label_set=LABELS)
    assert (index.rows, index.failures, index.shards) == (0, 1, ())


def test_from_one_bucket_to_another(s3: Any, tmp_path: Path) -> None:
    source, output = (Location.parse(f"s3://{s3.new_bucket()}") for _ in range(2))
    local = manifest(tmp_path)
    for path in tmp_path.iterdir():
        source.write(f"deep/{path.name}", path.read_bytes())
    settings = {"label_set": LABELS, "rows_per_shard": 4}
    shards = output.child("shards")
    index = run("manifest", f"{source.uri}/deep/{local.name}", shards.uri, **settings)
    assert (index.rows, index.failures) == (10, 0)
    assert [row.utterance_id for row in rows(shards)] == [f"c{number}" for number in range(10)]
    before = content(shards)
    s3.client.delete_object(Bucket=output.uri[5:], Key="shards/shard-000001.parquet")
    run("manifest", f"{source.uri}/deep/{local.name}", shards.uri, **settings)
    assert content(shards) == before
    secret = s3.environment["AWS_SECRET_ACCESS_KEY"].encode()
    assert not any(secret in data for data in before.values())


def test_a_corpus_folder_in_a_bucket_equals_the_local_one(
    folder: CorpusFolder, bucket: Location, tmp_path: Path
) -> None:
    folder.clips("wav", "03a01Wa", "08b02Tb", "wrong")
    for path in (folder.root / "wav").iterdir():
        bucket.write(f"emodb/wav/{path.name}", path.read_bytes())
    shards = bucket.child("shards")
    run("emodb", f"{bucket.uri}/emodb", shards.uri)
    run("emodb", folder.root / "wav" / "..", tmp_path / "local")
    local = Location.parse(str(tmp_path / "local"))
    assert content(shards) == content(local)
