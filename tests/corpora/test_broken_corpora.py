"""A broken corpus: what is wrong is told with file and line, and all the rest is there.

The same damage to every corpus; what is particular to one is in its own test.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence

import pyarrow as pa
import pytest
from corpus_folder import CLIP, CorpusFolder
from corpus_miniatures import MINIATURES, Miniature
from mutilated import mutilated

from raypipe.corpora import CORPORA
from raypipe.errors import CorpusError
from raypipe.records import Failure, Utterance
from raypipe.store.schemas import SHARD
from raypipe.store.tables import errors_table, utterance_row

# Not where rows are single votes, or a JSON object would need a second key.
LISTED_TWICE = [name for name, one in MINIATURES.items() if one.entry[0] <= one.entry[1]]
NAMED_BY_THEIR_LABEL = {  # the corpora without label files
    "emodb": ("03a01Wa", "03a01Xa", ("03a01Fa", "03a02Nc")),
    "ravdess": (
        "03-01-05-01-01-01-01",
        "03-01-09-01-01-01-01",
        ("03-01-03-01-01-01-01", "03-01-01-01-01-01-02"),
    ),
}


def test_no_corpus_is_left_out() -> None:
    known = {one.corpus for one in MINIATURES.values()} | {*NAMED_BY_THEIR_LABEL}
    assert known == {*CORPORA}, (
        "every corpus needs its miniature in MINIATURES of tests/corpus_miniatures.py, or, where "
        "it has no file of labels, its name in NAMED_BY_THEIR_LABEL here"
    )


@pytest.fixture(params=MINIATURES)
def miniature(request: pytest.FixtureRequest, folder: CorpusFolder) -> Miniature:
    """A corpus in the folder, whole."""
    one = MINIATURES[request.param]
    one.write(folder)
    return one


def read(folder: CorpusFolder, miniature: Miniature) -> tuple[dict[str, Utterance], list[Failure]]:
    found, failures = folder.read_all(miniature.corpus, **miniature.options)
    fit_for_tables(list(found.values()), failures)
    return found, failures


def fit_for_tables(found: Sequence[Utterance], failures: Sequence[Failure]) -> None:
    """Bytes that are no text would stop the writing of a whole shard."""
    pa.Table.from_pylist([utterance_row(one) for one in found], schema=SHARD)
    numbered = [(None, failure) for failure in failures]
    errors_table(numbered, run="ingest", shard=None, shard_rows=1)


def the_second_fails(
    folder: CorpusFolder, miniature: Miniature, line: int | None = None
) -> Failure:
    """The one failure, of the second clip; the other two clips are there."""
    found, failures = read(folder, miniature)
    assert list(found) == [miniature.ids[0], miniature.ids[2]]
    if line is not None:
        assert failures[0].message.startswith(f"{miniature.file} line {line}: ")
    # A row with nothing but votes costs its vote; then the clip has none left.
    assert {failure.error_type for failure in failures[1:]} <= {"no_votes"}
    return failures[0]


def test_whole_it_is_read(folder: CorpusFolder, miniature: Miniature) -> None:
    found, failures = read(folder, miniature)
    assert (tuple(found), failures) == (miniature.ids, [])
    assert all(one.votes for one in found.values())


def test_an_unknown_label_code(folder: CorpusFolder, miniature: Miniature) -> None:
    folder.file(miniature.file, miniature.mislabelled())
    failure = the_second_fails(folder, miniature, miniature.label_line)
    assert failure.error_type == "unknown_label"


def test_a_missing_recording(folder: CorpusFolder, miniature: Miniature) -> None:
    os.unlink(folder.root / miniature.recordings[1])
    line = miniature.entry[0]
    failure = the_second_fails(folder, miniature, line)
    assert (failure.utterance_id, failure.error_type) == (miniature.ids[1], "missing_audio")


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "empty"), (b"<html>", "not_audio"), (CLIP[:-99], "truncated")]
)
def test_a_recording_that_is_none(
    folder: CorpusFolder, miniature: Miniature, content: bytes, reason: str
) -> None:
    folder.file(miniature.recordings[1], content)
    failure = the_second_fails(folder, miniature, miniature.entry[0])
    assert (failure.utterance_id, failure.error_type) == (miniature.ids[1], reason)
    assert miniature.recordings[1] in failure.message


@pytest.mark.parametrize("name", LISTED_TWICE)
def test_a_clip_listed_twice(folder: CorpusFolder, name: str) -> None:
    miniature = MINIATURES[name]
    miniature.write(folder)
    folder.file(miniature.file, miniature.again())
    found, [failure] = read(folder, miniature)
    assert tuple(found) == miniature.ids
    assert (failure.utterance_id, failure.error_type) == (miniature.ids[1], "duplicate_id")
    line = len(miniature.lines) + 1
    assert failure.message.startswith(f"{miniature.file} line {line}: ")
    assert f"{miniature.file} line {miniature.entry[0]}" in failure.message


def test_files_that_do_not_belong(folder: CorpusFolder, miniature: Miniature) -> None:
    folder.file("notes.txt", b"\xff\xfe\x00 not a label file")
    folder.file("old/labels.csv", "not,a,label,file\n")
    folder.file(".DS_Store", b"\0")
    folder.file(f"{os.path.dirname(miniature.recordings[0])}/._{miniature.ids[0]}.wav", b"\0")
    folder.file(miniature.stray, CLIP)
    found, [failure] = read(folder, miniature)
    assert tuple(found) == miniature.ids
    assert failure.error_type == "no_votes"
    assert failure.message.startswith(f"{miniature.stray}: ")


@pytest.mark.parametrize("rubbish", [b"\xe9\xff", b"\0"])
def test_bytes_that_are_no_text(folder: CorpusFolder, miniature: Miniature, rubbish: bytes) -> None:
    folder.file(miniature.file, miniature.damaged(rubbish))
    if miniature.corpus == "iemocap" and rubbish != b"\0":  # whose files are in Latin-1
        assert tuple(read(folder, miniature)[0]) == miniature.ids
        return
    the_second_fails(folder, miniature, miniature.word_line)


def test_a_label_file_in_utf_16(folder: CorpusFolder, miniature: Miniature) -> None:
    folder.file(miniature.file, miniature.text().decode(), "utf-16")
    if miniature.corpus == "iemocap":  # one of many label files
        found, failures = read(folder, miniature)
        assert (found, failures[0].error_type) == ({}, "bad_file")
        assert failures[0].message.startswith(f"{miniature.file} line 1: the file is UTF-16")
        return
    with pytest.raises(CorpusError, match=f"{miniature.file} line 1: the file is UTF-16"):
        read(folder, miniature)


@pytest.mark.parametrize("corpus", NAMED_BY_THEIR_LABEL)
def test_corpora_without_label_files(folder: CorpusFolder, corpus: str) -> None:
    """The label is in the recording's name: that is the file the failure names."""
    torn, unknown, good = NAMED_BY_THEIR_LABEL[corpus]
    folder.clips("wav", *good, unknown)
    folder.clips("wav/copy", good[0])
    folder.file(f"wav/{torn}.wav", CLIP[:-99])
    folder.file("wav/notes.txt", b"\xff\xfe\x00")
    undecodable = os.fsencode(folder.root / "wav") + b"/caf\xe9.wav"
    with open(undecodable, "wb") as stream:
        stream.write(CLIP)
    found, failures = folder.read_all(corpus)
    fit_for_tables(list(found.values()), failures)
    assert sorted(found) == sorted(good)
    assert {f.message.partition(":")[0]: f.error_type for f in failures} == {
        "wav/caf\\udce9.wav": "bad_name",
        f"wav/{unknown}.wav": "bad_name",
        f"wav/copy/{good[0]}.wav": "duplicate_id",
        f"wav/{torn}.wav": "truncated",
    }


@pytest.mark.parametrize("seed", range(3))
def test_no_accident_to_a_label_file_stops_an_adapter(
    folder: CorpusFolder, miniature: Miniature, seed: int
) -> None:
    """It yields clips that are fit to be written and failures, or says that it cannot read it."""
    chance = random.Random(f"{miniature.corpus} {miniature.file} {seed}")
    files = {miniature.file: miniature.text()}
    files |= {name: content.encode() for name, content in miniature.others.items()}
    for _ in range(25):
        damaged = chance.choice(sorted(files))
        folder.file(damaged, mutilated(files[damaged], chance))
        try:
            found, _ = read(folder, miniature)
        except CorpusError as error:
            str(error).encode()
        else:
            assert {*found} <= {*miniature.ids}
        folder.file(damaged, files[damaged])
