"""Hugging Face style tables become utterances, whatever state their audio column is in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus_folder import CLIP, clip
from poisoned_table import PoisonedTable

from raypipe.audio import decode
from raypipe.corpora import hf_table
from raypipe.corpora.hf_table import tables, unused_columns
from raypipe.errors import CorpusError
from raypipe.labels import LabelSet
from raypipe.records import Failure, Utterance
from raypipe.shards import RowFailure

LABELS = LabelSet(("anger", "happiness", "sadness"))
NAMES = ["sadness", "anger", "happiness"]
HF = {
    "huggingface": json.dumps(
        {
            "info": {
                "features": {
                    "audio": {"_type": "Audio", "sampling_rate": 16_000},
                    "label": {"_type": "ClassLabel", "names": NAMES},
                    "votes": {"feature": {"_type": "ClassLabel", "names": NAMES}},
                }
            }
        }
    )
}


def parquet(path: Path, table: pa.Table) -> None:
    pq.write_table(table, path)


def arrow_stream(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def arrow_file(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def read(path: Path, **options: Any) -> list[Utterance | RowFailure]:
    """What is in the file; a scan of it must know the same clips."""
    [table] = tables(str(path), LABELS, **options)
    rows, held = list(table.read()), list(table.scan())
    assert len(held) == len(rows)
    for row, one in zip(rows, held, strict=True):
        assert one.utterance_id in (None, row.utterance_id)
    return rows


def utterances(path: Path, **options: Any) -> list[Utterance]:
    rows = read(path, **options)
    assert all(isinstance(row, Utterance) for row in rows), rows
    return [row for row in rows if isinstance(row, Utterance)]


@pytest.mark.parametrize(
    ("ending", "write"),
    [("parquet", parquet), ("arrow", arrow_stream), ("arrow", arrow_file)],
)
def test_rows_are_read(
    tmp_path: Path, ending: str, write: Callable[[Path, pa.Table], None]
) -> None:
    (tmp_path / "real.wav").write_bytes(clip(sampling_rate=8_000))
    table = pa.table(
        {
            "audio": [
                {"bytes": CLIP, "path": "x/a.wav"},
                {"bytes": CLIP, "path": None},
                {"bytes": None, "path": "real.wav"},
            ],
            "label": [0, 1, 2],
            "speaker_id": [7, None, 9],
            "text": ["yes", None, "no"],
        }
    ).replace_schema_metadata(HF)
    path = tmp_path / f"train-00000-of-00001.{ending}"
    write(path, table)
    found = utterances(path, dataset="mine")
    assert [one.utterance_id for one in found] == ["x/a", "train-00000-of-00001-2", "real"]
    assert [one.votes[0].labels for one in found] == [("sadness",), ("anger",), ("happiness",)]
    assert [one.speaker for one in found] == ["7", None, "9"]
    assert [one.sampling_rate for one in found] == [16_000, 16_000, 8_000]
    assert {(one.split, one.dataset) for one in found} == {("train", "mine")}
    assert found[0].audio == CLIP


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ([["happy", "sad"]], ["happy", "sad"]),
        ([[1, 1]], ["anger", "anger"]),
        ([{"happy": 2, "sad": None}], ["happy", "happy"]),
        (['["sad", "sad"]'], ["sad", "sad"]),
    ],
)
def test_votes_in_every_shape(tmp_path: Path, column: list[Any], expected: list[str]) -> None:
    table = pa.table({"id": ["a"], "audio": [CLIP], "votes": column}).replace_schema_metadata(HF)
    parquet(tmp_path / "t.parquet", table)
    [found] = utterances(tmp_path / "t.parquet")
    assert [vote.labels[0] for vote in found.votes] == expected


def test_decoded_audio_keeps_its_samples(tmp_path: Path) -> None:
    samples = np.linspace(-0.5, 0.5, 800, dtype=np.float32)
    audio = [{"array": samples.tolist(), "path": "a.wav", "sampling_rate": 8_000}]
    parquet(tmp_path / "t.parquet", pa.table({"audio": audio}))
    [found] = utterances(tmp_path / "t.parquet")
    np.testing.assert_array_equal(decode(found.audio, sampling_rate=8_000), samples)
    assert (found.sampling_rate, found.duration_s, found.split) == (8_000, 0.1, None)


def test_faults_cost_their_row(tmp_path: Path) -> None:
    audio = [
        {"bytes": CLIP, "path": "a.wav"},
        {"bytes": CLIP[:60], "path": "b.wav"},
        {"bytes": None, "path": None},
        {"bytes": None, "path": "gone.wav"},
        {"bytes": None, "path": "/etc/hosts"},
        {"bytes": CLIP, "path": "f.wav"},
    ]
    labels = pa.array([3, 1, 1, 1, 1, 1])
    parquet(tmp_path / "t.parquet", pa.table({"audio": audio, "label": labels}))
    bare = read(tmp_path / "t.parquet")
    assert {one.error_type for one in bare if isinstance(one, RowFailure)} == {"unknown_label"}
    table = pa.table({"audio": audio, "label": labels}).replace_schema_metadata(HF)
    parquet(tmp_path / "t.parquet", table)
    found = read(tmp_path / "t.parquet")
    assert [one.error_type if isinstance(one, RowFailure) else "good" for one in found] == [
        "unknown_label",
        "truncated",
        "missing_audio",
        "missing_audio",
        "bad_audio_path",
        "good",
    ]
    assert isinstance(found[1], RowFailure)
    assert found[1].message.startswith("t.parquet row 2: audio: ")


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="there is no "):
        read(tmp_path / "none.parquet")
    for name in ("bad.parquet", "bad.arrow"):
        (tmp_path / name).write_bytes(b"hello world, this is no table")
        with pytest.raises(CorpusError, match="cannot be read beyond row 0"):
            read(tmp_path / name)
    parquet(tmp_path / "t.parquet", pa.table({"sound": ["x"]}))
    with pytest.raises(CorpusError, match="needs a column audio, has sound"):
        read(tmp_path / "t.parquet")


STEREO = np.stack([np.linspace(-0.5, 0.5, 800), np.linspace(0.25, 0, 800)]).astype(np.float32)


@pytest.mark.parametrize("array", [STEREO, STEREO.T], ids=["channels first", "frames first"])
def test_arrays_of_two_channels_either_way_round(tmp_path: Path, array: np.ndarray) -> None:
    audio = [{"array": array.tolist(), "sampling_rate": 8_000.0}]
    parquet(tmp_path / "t.parquet", pa.table({"id": ["a"], "audio": audio}))
    [found] = utterances(tmp_path / "t.parquet")
    assert (found.sampling_rate, found.duration_s) == (8_000, 0.1)
    np.testing.assert_allclose(
        decode(found.audio, sampling_rate=8_000), STEREO.mean(axis=0), atol=1e-7
    )


@pytest.mark.parametrize(
    ("audio", "reason"),
    [
        ({"array": np.zeros((2, 2, 2)).tolist(), "sampling_rate": 8_000}, "corrupt"),
        ({"array": np.zeros((100, 200)).tolist(), "sampling_rate": 8_000}, "too_many_channels"),
        ({"array": [0.0] * 99, "sampling_rate": 10**12}, "bad_sampling_rate"),
        ({"array": [0.0] * 99, "sampling_rate": 0}, "bad_sampling_rate"),
        ({"array": [0.0] * 99, "sampling_rate": None}, "bad_sampling_rate"),
        ({"array": [], "sampling_rate": 8_000}, "zero_length"),
        ({"array": [["x"]], "sampling_rate": 8_000}, "corrupt"),
        ({"bytes": [300, -1], "path": None}, "bad_type"),
        ({"path": "https://example.org/a.wav"}, "bad_audio_path"),
        ({"path": "../a.wav"}, "bad_audio_path"),
        ({"path": "none.wav"}, "missing_audio"),
        (5, "missing_audio"),
    ],
)
def test_an_audio_cell_that_cannot_be_used_costs_its_row(
    tmp_path: Path, audio: object, reason: str
) -> None:
    parquet(tmp_path / "t.parquet", pa.table({"id": ["a"], "audio": [audio]}))
    [failure] = read(tmp_path / "t.parquet")
    assert isinstance(failure, RowFailure)
    assert (failure.error_type, failure.utterance_id) == (reason, "a")


@pytest.mark.parametrize(
    "names", [{"0": "angry", "1": "happy", "2": "sad"}, {"2": "sad", "1": "happy", "0": "angry"}]
)
def test_class_names_by_number(tmp_path: Path, names: dict[str, str]) -> None:
    kind = {"_type": "ClassLabel", "names": names}
    metadata = {"huggingface": json.dumps({"info": {"features": {"label": kind}}})}
    table = pa.table({"id": ["a", "b"], "audio": [CLIP, CLIP], "label": [0, 2.0]})
    parquet(tmp_path / "t.parquet", table.replace_schema_metadata(metadata))
    found = utterances(tmp_path / "t.parquet")
    assert [one.votes[0].labels for one in found] == [("angry",), ("sad",)]


@pytest.mark.parametrize("kind", ["Sequence", "List", "bare"])
def test_class_names_of_lists(tmp_path: Path, kind: str) -> None:
    inner = {"_type": "ClassLabel", "names": NAMES}
    feature = [inner] if kind == "bare" else {"_type": kind, "feature": inner}
    metadata = {"huggingface": json.dumps({"info": {"features": {"labels": feature}}})}
    table = pa.table({"id": ["a"], "audio": [CLIP], "labels": [[0, 1]]})
    parquet(tmp_path / "t.parquet", table.replace_schema_metadata(metadata))
    [row] = utterances(tmp_path / "t.parquet")
    assert [vote.labels for vote in row.votes] == [("sadness",), ("anger",)]


@pytest.mark.parametrize(
    "written", ["not json", "[]", '{"info": {"features": {"gender": {"names": 5}}}}']
)
def test_broken_metadata_cost_nothing_where_labels_are_words(tmp_path: Path, written: str) -> None:
    columns = {"id": ["a"], "audio": [CLIP], "label": ["sad"], "labels": [1]}
    table = pa.table(columns).replace_schema_metadata({"huggingface": written})
    parquet(tmp_path / "t.parquet", table.drop_columns("labels"))
    [row] = utterances(tmp_path / "t.parquet")
    assert row.votes[0].labels == ("sad",)
    parquet(tmp_path / "t.parquet", table.drop_columns("label"))
    if "info" in written:  # of another column: there are no words for these numbers
        assert isinstance(read(tmp_path / "t.parquet")[0], RowFailure)
        return
    with pytest.raises(CorpusError, match="the huggingface metadata cannot be read"):
        read(tmp_path / "t.parquet")


def test_class_names_with_a_hole_are_refused(tmp_path: Path) -> None:
    kind = {"_type": "ClassLabel", "names": {"0": "angry", "2": "sad"}}
    metadata = {"huggingface": json.dumps({"info": {"features": {"label": kind}}})}
    table = pa.table({"id": ["a"], "audio": [CLIP], "label": [0]})
    parquet(tmp_path / "t.parquet", table.replace_schema_metadata(metadata))
    with pytest.raises(CorpusError, match="the numbers of the names"):
        read(tmp_path / "t.parquet")


@pytest.mark.parametrize("shape", ["struct", "path only", "text", "other column"])
def test_paths_are_read_below_the_root(tmp_path: Path, shape: str) -> None:
    """Whatever to_parquet left: bytes null and an absolute path, or the path alone."""
    wavs, tables_folder = tmp_path / "wavs", tmp_path / "tables"
    tables_folder.mkdir()
    for speaker in ("spk1", "spk2"):
        (wavs / speaker).mkdir(parents=True)
        (wavs / speaker / "001.wav").write_bytes(CLIP)
    paths = [str(wavs / "spk1/001.wav"), "spk2/001.wav"]
    cells = {
        "struct": [{"bytes": None, "path": path} for path in paths],
        "path only": [{"path": path} for path in paths],
        "text": paths,
        "other column": paths,
    }
    column = "audio_path" if shape == "other column" else "audio"
    table = pa.table({column: cells[shape], "emotion": ["angry", "sad"]})
    if shape == "struct":
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        table = table.set_column(0, column, pa.array(cells[shape], kind))
    path = tables_folder / "t.parquet"
    parquet(path, table)
    found = utterances(path, audio_root=str(wavs))
    assert [one.utterance_id for one in found] == ["spk1/001", "spk2/001"]
    assert [one.audio for one in found] == [CLIP, CLIP]
    [held] = tables(str(path), LABELS, audio_root=str(wavs))
    assert [one.utterance_id for one in held.scan()] == ["spk1/001", "spk2/001"]
    outside = read(path)
    assert {row.error_type for row in outside if isinstance(row, RowFailure)} == {
        "bad_audio_path",
        "missing_audio",
    }


def test_one_base_name_in_two_folders_is_two_utterances(tmp_path: Path) -> None:
    audio = [{"bytes": CLIP, "path": f"{speaker}/001.wav"} for speaker in ("spk1", "spk2")]
    parquet(tmp_path / "t.parquet", pa.table({"audio": audio}))
    found = utterances(tmp_path / "t.parquet")
    assert [one.utterance_id for one in found] == ["spk1/001", "spk2/001"]


def test_a_column_labels_is_understood_and_others_are_named(tmp_path: Path) -> None:
    kind = {"_type": "ClassLabel", "names": NAMES}
    metadata = {"huggingface": json.dumps({"info": {"features": {"labels": kind}}})}
    columns = {"audio": [CLIP], "labels": [1], "mood": ["x"], "text": ["yes"]}
    parquet(tmp_path / "t.parquet", pa.table(columns).replace_schema_metadata(metadata))
    [found] = utterances(tmp_path / "t.parquet")
    assert found.votes[0].labels == ("anger",)
    assert unused_columns(tables(str(tmp_path / "t.parquet"), LABELS)[0]) == ("mood",)


def test_labels_that_are_tokens_stay_out_of_the_way_of_an_emotion(tmp_path: Path) -> None:
    parquet(
        tmp_path / "t.parquet",
        pa.table({"id": ["a"], "audio": [CLIP], "labels": [[5, 7, 9]], "emotion": ["sad"]}),
    )
    [found] = utterances(tmp_path / "t.parquet")
    assert found.votes[0].labels == ("sad",)


@pytest.mark.parametrize("deed", ["segfault", "hang", "fill"])
def test_a_table_that_ends_the_process_that_reads_it_costs_its_rows(
    tmp_path: Path, deed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hf_table, "_LIMIT_S", 2.0 if deed == "hang" else 600.0)
    audio = [{"bytes": CLIP, "path": f"{number}.wav"} for number in range(6)]
    arrow_file(tmp_path / "t.arrow", pa.table({"audio": audio, "label": ["sad"] * 6}))
    [table] = tables(str(tmp_path / "t.arrow"), LABELS)
    rules, place = table.rules, table.place
    poisoned = PoisonedTable(place, "t.arrow", None, rules, (), row=4, deed=deed)
    entries = list(poisoned.scan())
    assert len(entries) == 6
    rows: list[Utterance | Failure] = []
    words = {"segfault": "SIGSEGV", "hang": "within 2 s", "fill": "took more than"}[deed]
    with pytest.raises(CorpusError, match=f"t.arrow cannot be read beyond row 4: .*{words}"):
        rows.extend(poisoned.read())
    assert [row.utterance_id for row in rows] == ["0", "1", "2", "3"]
    assert len(list(table.read())) == 6  # another file after it


def test_a_number_in_the_place_of_bytes_makes_no_zeroes(tmp_path: Path) -> None:
    audio = [{"bytes": 3_000_000_000, "path": "a.wav"}]
    parquet(tmp_path / "t.parquet", pa.table({"audio": audio, "label": ["sad"]}))
    [failure] = read(tmp_path / "t.parquet")
    assert isinstance(failure, RowFailure)
    assert failure.error_type == "bad_type"
