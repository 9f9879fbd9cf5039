"""WebDataset tar files become utterances; what is torn costs itself."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from corpus_folder import CLIP, clip

from raypipe.corpora.sources import open_source
from raypipe.corpora.webdataset import tar_files, unused_columns
from raypipe.errors import ConfigError, CorpusError
from raypipe.labels import LabelSet
from raypipe.records import Utterance, Vote
from raypipe.shards import RowFailure

LABELS = LabelSet(("anger", "happiness", "sadness"))


def tar(path: Path, **members: bytes | str | dict[str, Any]) -> str:
    """A tar file; ``__`` in a keyword stands for the dot of a member's name."""
    with tarfile.open(path, "w") as made:
        for keyword, content in members.items():
            data = json.dumps(content) if isinstance(content, dict) else content
            data = data if isinstance(data, bytes) else data.encode()
            info = tarfile.TarInfo(keyword.replace("__", ".").replace("_slash_", "/"))
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    return str(path)


def read(uri: str, **options: Any) -> list[Utterance | RowFailure]:
    """What is in the files; a scan of them must know the same clips."""
    files = tar_files(uri, LABELS, **options)
    rows = [one for file in files for one in file.read()]
    held = [one for file in files for one in file.scan()]
    assert len(held) == len(rows)
    for row, one in zip(rows, held, strict=True):
        assert one.utterance_id in (None, row.utterance_id)
        if isinstance(row, Utterance):
            assert (one.utterance_id, one.size) == (row.utterance_id, len(row.audio))
    return rows


def test_samples_are_neighbours_of_one_name(tmp_path: Path) -> None:
    uri = tar(
        tmp_path / "mine-000.tar",
        u1__wav=CLIP,
        u1__json={"spk": "0012", "votes": ["Angry", "sad"], "text": "no"},
        _slash_u2__flac=b"",
        u3__cls="happy\n",
        u3__txt="yes",
        u3__FLAC=clip(sampling_rate=8_000, kind="FLAC"),
        u4__json={"id": "named", "emotion": "sad", "context": ["a"]},
        u4__wav=CLIP,
    )
    first, empty, third, fourth = read(uri)
    assert isinstance(first, Utterance)
    assert (first.utterance_id, first.speaker, first.transcript) == ("u1", "0012", "no")
    assert [vote.labels for vote in first.votes] == [("Angry",), ("sad",)]
    assert (first.dataset, first.audio) == ("mine", CLIP)
    assert isinstance(empty, RowFailure)
    assert (empty.utterance_id, empty.error_type, empty.row) == ("u2", "empty", 2)
    assert isinstance(third, Utterance)
    assert (third.votes, third.transcript) == ((Vote("1", ("happy",)),), "yes")
    assert third.sampling_rate == 8_000
    assert isinstance(fourth, Utterance)
    assert (fourth.utterance_id, fourth.context) == ("named", ("a",))


def test_several_shards_and_counts_of_votes(tmp_path: Path) -> None:
    for number in range(9, 12):
        votes = {"votes": {"happy": 2, "sad": 1}}
        tar(
            tmp_path / f"t-{number:02d}.tar", **{f"u{number}__wav": CLIP, f"u{number}__json": votes}
        )
    assert len(read(str(tmp_path / "t-{09..11}.tar"))) == 3
    (tmp_path / "below").mkdir()
    tar(tmp_path / "below" / "a.tar", a__wav=CLIP)
    found = read(str(tmp_path))
    assert [row.utterance_id for row in found] == ["a", "u9", "u10", "u11"]
    assert tar_files(str(tmp_path), LABELS)[3].position(0) == "t-11.tar sample 1"


def test_faults_cost_their_sample(tmp_path: Path) -> None:
    uri = tar(
        tmp_path / "t.tar",
        a__json={"votes": ["happy"]},
        **{"006-040__1-2_13__wav": CLIP},
        c__json="{",
        c__wav=CLIP,
        d__cls="bored",
        d__wav=CLIP,
        e__txt=b"caf\xe9",
        e__wav=CLIP,
        f__wav=CLIP[:100],
        g__wav=CLIP,
    )
    found = read(uri)
    assert [one.error_type if isinstance(one, RowFailure) else "good" for one in found] == [
        "missing_audio",
        "bad_name",
        "bad_json",
        "unknown_label",
        "not_unicode",
        "truncated",
        "good",
    ]
    assert isinstance(found[2], RowFailure)
    assert found[2].message.startswith("t.tar sample 3 ('c'): c.json is not JSON")


def test_a_torn_tar_gives_what_came_before(tmp_path: Path) -> None:
    uri = tar(tmp_path / "t.tar", a__wav=CLIP, b__wav=CLIP)
    whole = Path(uri).read_bytes()
    Path(uri).write_bytes(whole[: 512 + len(CLIP) + 2000])
    good, torn = read(uri)
    assert isinstance(good, Utterance)
    assert isinstance(torn, RowFailure)
    assert torn.error_type == "bad_tar"
    Path(uri).write_bytes(b"no tar at all" * 100)
    [failure] = read(uri)
    assert isinstance(failure, RowFailure)


@pytest.mark.parametrize("cut", [0, 1, 300, 512, 1000, 1024])
def test_a_sample_that_may_lack_members_is_not_taken(tmp_path: Path, cut: int) -> None:
    """However the file ends before its end mark: tarfile alone calls most of these a good end."""
    uri = tar(tmp_path / "t.tar", a__wav=CLIP, b__wav=CLIP, b__cls="happy")
    whole = Path(uri).read_bytes()
    Path(uri).write_bytes(whole[: whole.index(b"b.cls") + cut])
    good, torn = read(uri)
    assert good.utterance_id == "a"
    assert isinstance(torn, RowFailure)
    assert torn.message.startswith("t.tar sample 2: the tar file is torn")


def test_what_cannot_be_read_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"there is no .*none\.tar"):
        read(str(tmp_path / "none.tar"))
    with pytest.raises(ConfigError, match="audio_root"):
        open_source("webdataset", {"audio_root": "/x"})
    with pytest.raises(ConfigError, match="no range"):
        read(str(tmp_path / "t-{5..2}.tar"))


def test_one_base_name_in_two_folders_is_two_samples(tmp_path: Path) -> None:
    members = {f"{speaker}_slash_001__wav": CLIP for speaker in ("spk1", "spk2")}
    first, second = read(tar(tmp_path / "t.tar", **members))
    assert (first.utterance_id, second.utterance_id) == ("spk1/001", "spk2/001")


def test_fields_beside_a_recording_may_be_named_after_all_of_its_name(tmp_path: Path) -> None:
    uri = tar(tmp_path / "t.tar", a__wav=CLIP, a__wav__json={"emotion": "sad"}, a__wav__txt="no")
    [found] = read(uri)
    assert isinstance(found, Utterance)
    assert found.votes[0].labels == ("sad",)
    assert found.transcript == "no"


def test_fields_and_members_that_nothing_is_read_from_are_named(tmp_path: Path) -> None:
    uri = tar(tmp_path / "t.tar", a__wav=CLIP, a__json={"mood": "x", "spk": "1"}, a__face="sad")
    assert unused_columns(tar_files(uri, LABELS)[0]) == ("mood", ".face")
    torn = tar(tmp_path / "u.tar", a__wav=CLIP, a__json="{")
    assert unused_columns(tar_files(torn, LABELS)[0]) == ()


def test_labels_in_members_of_usual_names(tmp_path: Path) -> None:
    uri = tar(
        tmp_path / "t.tar",
        **{"a__wav": CLIP, "a__emotion": "sad", "b__wav": CLIP, "b__label": "anger"},
        **{"c__wav": CLIP, "c__wav__label": "sad", "d__wav": CLIP, "d__emotion__txt": "anger"},
        **{"e__wav": CLIP, "e__cls": "sad", "e__label": "anger", "e__speaker": "7"},
    )
    [container] = tar_files(uri, LABELS)
    rows = list(container.read())
    assert all(isinstance(row, Utterance) for row in rows), rows
    votes = [row.votes[0].labels for row in rows if isinstance(row, Utterance)]
    assert votes == [("sad",), ("anger",), ("sad",), ("anger",), ("sad",)]
    assert isinstance(rows[-1], Utterance)
    assert rows[-1].speaker == "7"
