"""A manifest's good lines become utterances; each bad one is named and costs only itself."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from raypipe.corpora.manifest import pending_manifest, unused_columns
from raypipe.corpora.pending import read_ahead
from raypipe.errors import ConfigError, CorpusError, StoreError
from raypipe.labels import LabelSet
from raypipe.records import Utterance, Vote
from raypipe.shards import RowFailure
from raypipe.store.location import Location

LABELS = LabelSet(("anger", "happiness", "sadness"))


@pytest.fixture
def clip(encode: Callable[..., bytes], tone: Callable[..., Any]) -> bytes:
    return encode(tone(0.5))


@pytest.fixture
def folder(tmp_path: Path, clip: bytes) -> Path:
    """A folder with one good clip, ``a.wav``."""
    (tmp_path / "a.wav").write_bytes(clip)
    return tmp_path


def jsonl(folder: Path, *lines: Any) -> str:
    """A manifest of these lines; a text is written as it is, anything else as JSON."""
    path = folder / "corpus.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts) + "\n", encoding="utf-8", errors="surrogateescape")
    return str(path)


def line(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {"id": f"clip-{number}", "audio": "a.wav", **fields}


def read(manifest: str, **options: Any) -> list[Utterance | RowFailure]:
    return list(read_ahead(pending_manifest(manifest, LABELS, **options)))


def the_failure(folder: Path, bad: Any, **options: Any) -> RowFailure:
    """The failure of ``bad`` between two good lines, which it must not touch."""
    before, failure, after = read(jsonl(folder, line(1), bad, line(3)), **options)
    assert isinstance(before, Utterance)
    assert isinstance(after, Utterance)
    assert isinstance(failure, RowFailure)
    assert (failure.stage, failure.row) == ("ingest", 2)
    assert failure.message.startswith("corpus.jsonl line 2: ")
    return failure


def test_a_line_becomes_an_utterance(folder: Path, clip: bytes) -> None:
    [found] = read(
        jsonl(
            folder,
            line(
                transcript="„Nein“ 😀",
                speaker=7,
                split="test",
                dataset="mine",
                context=["before", "and before"],
                votes=[
                    {"annotator": "w1", "labels": ["Angry", "sad"], "typed": "fed up"},
                    {"annotator": 2, "label": "happy"},
                    {"typed": "cannot tell"},
                ],
            ),
        )
    )
    assert found == Utterance(
        utterance_id="clip-1",
        dataset="mine",
        split="test",
        speaker="7",
        audio=clip,
        sampling_rate=16_000,
        duration_s=0.5,
        transcript="„Nein“ 😀",
        context=("before", "and before"),
        votes=(
            Vote("w1", ("Angry", "sad"), "fed up"),
            Vote("2", ("happy",)),
            Vote("3", (), "cannot tell"),
        ),
        audio_marks=found.audio_marks if isinstance(found, Utterance) else None,
    )
    assert found.audio_marks is not None
    assert found.audio_marks.silent is False


def test_the_least_a_line_needs(folder: Path) -> None:
    [found] = read(jsonl(folder, {"utterance_id": "x", "audio": "a.wav", "votes": None, "note": 1}))
    assert isinstance(found, Utterance)
    assert (found.dataset, found.split, found.transcript) == ("corpus", None, None)
    assert (found.votes, found.context, found.soft_label) == ((), (), None)


@pytest.mark.parametrize(
    ("written", "aligned"),
    [
        ({"anger": 0.25, "sad": 0.75}, (0.25, 0.0, 0.75)),
        ({"happy": 0.5, "joy": 0.5}, (0.0, 1.0, 0.0)),
        ([1, 0, 0], (1.0, 0.0, 0.0)),
        ('{"anger": 1}', (1.0, 0.0, 0.0)),
        ([0.3333, 0.3333, 0.3333], (1 / 3, 1 / 3, 1 / 3)),
    ],
)
def test_soft_labels_are_aligned_and_normalised(
    folder: Path, written: Any, aligned: tuple[float, ...]
) -> None:
    [found] = read(jsonl(folder, line(soft_label=written)))
    assert isinstance(found, Utterance)
    assert found.soft_label == pytest.approx(aligned)
    assert sum(found.soft_label or ()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("bad", "reason", "value"),
    [
        ("{not json", "bad_json", "{not json"),
        ("[1, 2]", "bad_json", "[1, 2]"),
        ("[" * 100_000, "bad_json", "[["),
        ("\udcff", "bad_json", "udcff"),
        ({"audio": "a.wav"}, "missing_id", "no id"),
        (line(id="  "), "missing_id", "no id"),
        (line(id=1.5), "bad_type", "1.5"),
        (line(id="a\nb"), "bad_id", r"a\nb"),
        (line(id="x" * 10_000), "bad_id", "xxx"),
        (line(1), "duplicate_id", "clip-1"),
        ({"id": "x"}, "missing_audio", "no audio"),
        (line(2, audio="b.wav"), "missing_audio", "b.wav"),
        (line(2, audio="."), "missing_audio", "not there"),
        (line(2, audio="a.wav/b.wav"), "missing_audio", "b.wav"),
        (line(2, audio="x" * 400), "missing_audio", "xxx"),
        (line(2, audio="x" * 4000), "bad_audio_path", "xxx"),
        (line(2, audio="a\0.wav"), "nul", "x00"),
        (line(2, audio="../../etc/passwd"), "bad_audio_path", "passwd"),
        (line(2, audio="/etc/passwd"), "bad_audio_path", "passwd"),
        (line(2, audio="http://169.254.169.254/"), "bad_audio_path", "169.254"),
        (line(2, audio="file:///etc/passwd"), "bad_audio_path", "passwd"),
        (line(2, audio="s3://key:s@bucket/x"), "bad_audio_path", "credentials"),
        (line(2, audio="s3://bucket"), "bad_audio_path", "bucket"),
        (line(2, audio=["a.wav"]), "bad_type", "a.wav"),
        (line(2, speaker=["s1"]), "bad_type", "s1"),
        (line(2, transcript={"de": "x"}), "bad_type", "de"),
        (line(2, transcript=True), "bad_type", "True"),
        ('{"id": "x", "audio": "a.wav", "transcript": "\\ud800"}', "not_unicode", "ud800"),
        ('{"id": "x", "audio": "a.wav", "transcript": "\udcff"}', "not_unicode", "udcff"),
        (line(2, context=5), "bad_type", "5"),
        (line(2, context=[1.5]), "bad_type", "1.5"),
        (line(2, context="[broken"), "bad_json", "[broken"),
        (line(2, votes=["anger", "ennui"]), "unknown_label", "ennui"),
        (line(2, votes=[{"label": ["x"]}]), "unknown_label", "x"),
        (line(2, votes={"anger": 1.5}), "bad_type", "1.5"),
        (line(2, votes=[3.5]), "bad_type", "3.5"),
        (line(2, soft_label=[0.5, 0.5]), "bad_soft_label", "3 shares"),
        (line(2, soft_label=[0.5, 0.4, 0.0]), "bad_soft_label", "0.9"),
        (line(2, soft_label=[1.5, -0.5, 0.0]), "bad_soft_label", "-0.5"),
        (line(2, soft_label=["1", 0, 0]), "bad_soft_label", "'1'"),
        (line(2, soft_label=[True, 0, 0]), "bad_soft_label", "True"),
        (line(2, soft_label={"ennui": 1.0}), "unknown_label", "ennui"),
        (line(2, soft_label=0.5), "bad_soft_label", "0.5"),
        ('{"id": "x", "audio": "a.wav", "soft_label": [NaN, 1, 0]}', "bad_soft_label", "nan"),
        ('{"id": "x", "audio": "a.wav", "soft_label": [1e999, 1, 0]}', "bad_soft_label", "inf"),
    ],
)
def test_a_bad_line_is_named_and_the_rest_goes_on(
    folder: Path, bad: Any, reason: str, value: str
) -> None:
    failure = the_failure(folder, bad)
    assert failure.error_type == reason
    assert value in failure.message
    failure.message.encode()


@pytest.mark.parametrize(
    "audio",
    [
        "http://user:PASS@host/x.wav",
        "http://user:PA/SS@host/x.wav",
        "ftp://user:PASS@host/" + "x" * 4000,
        "https://host/x.wav?X-Amz-Signature=PASS",
        "s3://key:PASS@bucket/x.wav",
    ],
)
def test_a_password_in_an_address_is_not_repeated(folder: Path, audio: str) -> None:
    failure = the_failure(folder, line(2, audio=audio))
    assert failure.error_type == "bad_audio_path"
    assert "SS" not in failure.message


def test_a_failure_carries_the_id_if_the_line_has_one(folder: Path) -> None:
    assert the_failure(folder, line(2, votes=["ennui"])).utterance_id == "clip-2"
    assert the_failure(folder, "{").utterance_id is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"<html>", "not_audio"),
        (None, "truncated"),
    ],
)
def test_a_bad_clip_is_named(folder: Path, clip: bytes, content: bytes | None, reason: str) -> None:
    (folder / "bad.wav").write_bytes(clip[:-99] if content is None else content)
    failure = the_failure(folder, line(2, audio="bad.wav"))
    assert failure.error_type == reason
    assert "bad.wav" in failure.message


def test_words_outside_the_label_set_can_be_allowed(folder: Path) -> None:
    [found] = read(jsonl(folder, line(votes=["anger", "Other"])), other_labels=["other "])
    assert isinstance(found, Utterance)
    assert [vote.labels for vote in found.votes] == [("anger",), ("Other",)]


def test_links_out_of_the_root_are_not_followed(folder: Path, tmp_path_factory: Any) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.wav").write_bytes((folder / "a.wav").read_bytes())
    (folder / "link.wav").symlink_to(outside / "secret.wav")
    assert the_failure(folder, line(2, audio="link.wav")).error_type == "bad_audio_path"
    (folder / "inside.wav").symlink_to(folder / "a.wav")
    [found] = read(jsonl(folder, line(audio="inside.wav")))
    assert isinstance(found, Utterance)


def test_an_audio_root_is_where_clips_lie(folder: Path, tmp_path_factory: Any) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "b.wav").write_bytes((folder / "a.wav").read_bytes())
    rows = [line(1, audio="b.wav"), line(2, audio=str(elsewhere / "b.wav")), line(3)]
    found = read(jsonl(folder, *rows), audio_root=str(elsewhere))
    assert [type(one) for one in found] == [Utterance, Utterance, RowFailure]
    rows = [line(1, audio=str(folder / "a.wav")), line(2, audio=str(elsewhere / "b.wav"))]
    found = read(jsonl(folder, *rows))
    assert [type(one) for one in found] == [Utterance, RowFailure]


def test_blank_lines_and_a_byte_order_mark_do_no_harm(folder: Path) -> None:
    path = folder / "corpus.jsonl"
    lines = f"\ufeff{json.dumps(line(1))}\r\n\r\n  \n{json.dumps(line(2))}"
    path.write_bytes(lines.encode())
    assert [one.utterance_id for one in read(str(path))] == ["clip-1", "clip-2"]


def sheet(folder: Path, *rows: list[str], ending: str = "csv") -> str:
    path = folder / f"corpus.{ending}"
    with path.open("w", newline="") as stream:
        csv.writer(stream, delimiter="\t" if ending == "tsv" else ",").writerows(rows)
    return str(path)


@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_csv_lines_become_utterances(folder: Path, ending: str) -> None:
    header = ["id", "audio", "speaker", "transcript", "votes", "soft_label", "context"]
    votes = json.dumps([{"annotator": "w1", "labels": ["sad"]}])
    found = read(
        sheet(
            folder,
            header,
            ["1", "a.wav", "s1", 'two\nlines, "quoted"', "anger|Sad", "", ""],
            ["2", "a.wav", "", "", votes, '{"anger": 1.0}', '["before"]'],
            ["3", "a.wav", "", " ", "", "", "one turn"],
            ending=ending,
        )
    )
    one, two, three = found
    assert isinstance(one, Utterance)
    assert isinstance(two, Utterance)
    assert isinstance(three, Utterance)
    assert (one.speaker, one.transcript) == ("s1", 'two\nlines, "quoted"')
    assert one.votes == (Vote("1", ("anger",)), Vote("2", ("Sad",)))
    assert (two.votes, two.soft_label) == ((Vote("w1", ("sad",)),), (1.0, 0.0, 0.0))
    assert (two.speaker, two.context) == (None, ("before",))
    assert (three.transcript, three.votes, three.context) == (None, (), ("one turn",))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ('2,a.wav,"a" b,c', "bad_csv"),
        ("2,a.wav", "bad_csv"),
        ("2,a.wav,x,y", "bad_csv"),
        ("2,a.wav,\udcff", "not_unicode"),
        (",a.wav,x", "missing_id"),
        ("1,a.wav,x", "duplicate_id"),
    ],
)
def test_a_bad_csv_line_does_not_swallow_the_next(folder: Path, bad: str, reason: str) -> None:
    path = folder / "corpus.csv"
    text = f'id,audio,transcript\n1,a.wav,x\n{bad}\n3,a.wav,"two\nlines"\n4,a.wav,\n'
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    found = read(str(path))
    assert [type(one) for one in found] == [Utterance, RowFailure, Utterance, Utterance]
    assert isinstance(found[1], RowFailure)
    assert (found[1].error_type, found[1].row) == (reason, 3)
    assert [one.utterance_id for one in found[2:]] == ["3", "4"]


QUOTED = ['"never closed', '"closed" too early', 'she said "no"', 'a " b', '"', '"""']


@pytest.mark.parametrize(("ending", "between"), [("csv", ","), ("csv", ";"), ("tsv", "\t")])
@pytest.mark.parametrize("words", QUOTED)
def test_a_quote_inside_a_cell_is_a_part_of_it(
    folder: Path, ending: str, between: str, words: str
) -> None:
    path = folder / f"corpus.{ending}"
    rows = ["id audio transcript", "1 a.wav x", "2 a.wav WORDS", "3 a.wav y"]
    text = "\r\n".join(row.replace(" ", between) for row in rows).replace("WORDS", words)
    path.write_text(text, newline="")
    found = read(str(path))
    assert [one.transcript for one in found if isinstance(one, Utterance)] == ["x", words, "y"]


@pytest.mark.parametrize("ending", ["csv", "tsv"])
@pytest.mark.parametrize("between", [",", ";", "\t", "|"])
def test_the_separator_is_seen_in_the_header(folder: Path, ending: str, between: str) -> None:
    path = folder / f"corpus.{ending}"
    rows = ["id audio votes arousal", "1 a.wav sad 3,5", '2 a.wav "{""anger"":2}" 4.0']
    rows = rows if between != "," else [row.replace("3,5", "3.5") for row in rows]
    path.write_text("\n".join(row.replace(" ", between, 3) for row in rows))
    first, second = read(str(path))
    assert isinstance(first, Utterance)
    assert isinstance(second, Utterance)
    assert (first.votes, first.arousal) == ((Vote("1", ("sad",)),), 3.5)
    assert [vote.labels for vote in second.votes] == [("anger",), ("anger",)]


def test_a_header_without_the_columns_names_the_separators(folder: Path) -> None:
    (folder / "corpus.csv").write_text("id;wave\n1;a.wav\n")
    with pytest.raises(CorpusError, match=r"audio, has \['id', 'wave'\] \(between ';'"):
        read(str(folder / "corpus.csv"))


def test_numbers_as_pandas_writes_them(folder: Path) -> None:
    votes = {"anger": 2.0, "sad": float("nan"), "happy": None}
    whole, parts = read(
        jsonl(
            folder,
            {
                **{"id": 12.0, "audio": "a.wav", "speaker": 7.0, "votes": votes, "split": None},
                **{"transcript": float("nan"), "context": float("nan"), "arousal": float("nan")},
            },
            {
                **{"id": "b", "audio": "a.wav", "votes": float("nan")},
                "soft_label": {"anger": 0.99, "sad": float("nan")},
            },
        )
    )
    assert isinstance(whole, Utterance)
    assert isinstance(parts, Utterance)
    assert (whole.utterance_id, whole.speaker, whole.transcript) == ("12", "7", None)
    assert [vote.labels for vote in whole.votes] == [("anger",), ("anger",)]
    assert parts.soft_label == (1.0, 0.0, 0.0)
    assert parts.votes == ()


@pytest.mark.parametrize("missing", ["nan", "NaN", "None", "null", "NULL", "<NA>", "NaT", " "])
def test_what_pandas_writes_for_nothing_is_nothing(folder: Path, missing: str) -> None:
    columns = ["speaker", "transcript", "split", "votes", "context", "dataset", "arousal"]
    header = ["id", "audio", *columns]
    named, bare = read(
        sheet(
            folder,
            header,
            ["1.0", "a.wav", "7.0", *["NA"] * 2, "sad", "NA", "NA", "NA"],
            ["2.0", "a.wav", *[missing] * 7],
        )
    )
    assert isinstance(named, Utterance)
    assert isinstance(bare, Utterance)
    assert (named.utterance_id, named.speaker, named.transcript) == ("1", "7", "NA")
    assert (bare.utterance_id, bare.speaker, bare.transcript, bare.split) == ("2", None, None, None)
    assert (bare.votes, bare.context, bare.dataset, bare.arousal) == ((), (), "corpus", None)


def test_a_missing_vote_is_none_unless_the_label_set_has_the_word(folder: Path) -> None:
    path = jsonl(folder, line(votes=["None", "sad", "nan", ""]), line(2, votes="nan", emotion="x"))
    first, second = read(path)
    assert isinstance(first, Utterance)
    assert first.votes == (Vote("2", ("sad",)),)
    assert isinstance(second, RowFailure)  # the emotion is read then
    assert second.error_type == "unknown_label"
    path = sheet(folder, ["id", "audio", "votes"], ["1", "a.wav", "None|sad"])
    [row] = read_ahead(pending_manifest(path, LabelSet(("none", "sadness"))))
    assert isinstance(row, Utterance)
    assert [vote.labels for vote in row.votes] == [("None",), ("sad",)]


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        ("anger|", ["anger"]),
        ("|anger| |sad", ["anger", "sad"]),
        ("{'anger': 2.0, 'sad': 0}", ["anger", "anger"]),
        ("['anger', 'sad']", ["anger", "sad"]),
        ("[{'labels': ['sad'], 'annotator': None}]", ["sad"]),
    ],
)
def test_votes_as_pandas_prints_them(folder: Path, cell: str, labels: list[str]) -> None:
    [row] = read(sheet(folder, ["id", "audio", "votes"], ["1", "a.wav", cell]))
    assert isinstance(row, Utterance)
    assert [vote.labels for vote in row.votes] == [(label,) for label in labels]


@pytest.mark.parametrize(
    "cell",
    ["['anger' 'sad']", "['anger'\n 'sad']", "[open('x')]", "['a'" * 9000, "{'anger': nan}", "['"],
)
def test_what_python_prints_is_never_run_nor_guessed(folder: Path, cell: str) -> None:
    [row] = read(sheet(folder, ["id", "audio", "votes"], ["1", "a.wav", cell]))
    assert isinstance(row, RowFailure)
    assert row.error_type == "bad_json"
    assert len(row.message) < 300


@pytest.mark.parametrize("shares", [[0.33, 0.33, 0.33], [0.66, 0.33, 0], [0.34, 0.34, 0.34]])
def test_rounded_shares_are_read(folder: Path, shares: list[float]) -> None:
    [found] = read(jsonl(folder, line(soft_label=shares)))
    assert isinstance(found, Utterance)
    assert found.soft_label == pytest.approx([share / sum(shares) for share in shares])


@pytest.mark.parametrize("shares", [[0.5, 0.47, 0], [0.333, 0.333, 0.33], [0, 0, 0]])
def test_shares_that_rounding_does_not_explain_are_refused(
    folder: Path, shares: list[float]
) -> None:
    assert the_failure(folder, line(2, soft_label=shares)).error_type == "bad_soft_label"


def test_an_unknown_label_names_its_cures(folder: Path) -> None:
    message = the_failure(folder, line(2, votes=["ennui"])).message
    for cure in ("other_labels", "--merge", "another label set"):
        assert cure in message


def test_line_numbers_count_lines_within_quotes(folder: Path) -> None:
    rows = [["id", "audio"], ["a\nb\nc", "a.wav"], ["2", "no.wav"]]
    first, second = read(sheet(folder, *rows))
    assert isinstance(first, RowFailure)
    assert isinstance(second, RowFailure)
    assert (first.row, second.row) == (2, 5)


def test_a_sheet_without_its_columns_is_refused(folder: Path) -> None:
    with pytest.raises(CorpusError, match=r"needs the columns audio, has \['name'\]"):
        read(sheet(folder, ["name"], ["x"]))
    with pytest.raises(CorpusError, match=r"has \[\]"):
        read(sheet(folder))


def test_what_is_no_manifest_is_refused(folder: Path) -> None:
    with pytest.raises(CorpusError, match="no manifest"):
        read(str(folder / "gone.jsonl"))
    with pytest.raises(CorpusError, match="ending"):
        read(str(folder / "a.wav"))
    with pytest.raises(ConfigError, match="http"):
        read("http://host/corpus.jsonl")


def test_lines_are_read_as_they_are_asked_for(folder: Path) -> None:
    manifest = jsonl(folder, *(line(number) for number in range(2000)))
    rows: Iterator[Utterance | RowFailure] = read_ahead(pending_manifest(manifest, LABELS))
    assert next(rows).utterance_id == "clip-0"
    (folder / "a.wav").unlink()
    rest = list(rows)
    assert sum(isinstance(one, Utterance) for one in rest) < 20
    assert [one.utterance_id for one in rest] == [f"clip-{number}" for number in range(1, 2000)]


def test_a_manifest_in_object_storage(bucket: Location, clip: bytes) -> None:
    place = bucket.child("corpora")
    place.write("clips/a.wav", clip)
    bucket.write("other/a.wav", clip)
    rows = [
        line(1, audio="clips/a.wav"),
        line(2, audio=f"{place.uri}/clips/a.wav"),
        line(3, audio=f"{bucket.uri}/other/a.wav"),
        line(4, audio="../other/a.wav"),
        line(5, audio="clips/gone.wav"),
        line(6, audio="/etc/passwd"),
    ]
    place.write("m.jsonl", "\n".join(map(json.dumps, rows)).encode())
    found = read(f"{place.uri}/m.jsonl")
    assert [getattr(one, "error_type", "good") for one in found] == [
        *["good"] * 2,
        *["bad_audio_path"] * 2,
        *["missing_audio"] * 2,
    ]
    allowed = read(f"{place.uri}/m.jsonl", allow=[bucket.child("other")])
    assert [getattr(one, "error_type", "good") for one in allowed][:4] == ["good"] * 4


def test_storage_that_refuses_is_not_booked_on_the_clip(
    folder: Path, bucket: Location, clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.write("a.wav", clip)
    manifest = jsonl(folder, line(1), line(2, audio=f"{bucket.uri}/a.wav"))
    assert all(isinstance(one, Utterance) for one in read(manifest, allow=[bucket]))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    with pytest.raises(StoreError, match=r"a\.wav.*403"):
        read(manifest, allow=[bucket])


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_packed_manifests_are_read(folder: Path, ending: str) -> None:
    rows = {"jsonl": [json.dumps(line(1)), json.dumps(line(2))], "csv": ["id,audio", "1,a.wav"]}
    path = folder / f"mine.{ending}.gz"
    path.write_bytes(gzip.compress("\n".join(rows[ending]).encode()))
    found = read(str(path))
    assert all(isinstance(one, Utterance) and one.dataset == "mine" for one in found)
    assert len(found) == (2 if ending == "jsonl" else 1)


def test_a_torn_gzip_file_costs_what_is_torn(folder: Path) -> None:
    path = folder / "corpus.jsonl.gz"
    rows = [json.dumps(line(number, transcript=str(number) * 99)) for number in range(50)]
    whole = gzip.compress("\n".join(rows).encode())
    path.write_bytes(whole[:-20])
    *_, failure = read(str(path))
    assert isinstance(failure, RowFailure)
    assert failure.error_type == "bad_gzip"
    assert f"corpus.jsonl.gz line {failure.row}: the gzip file is torn" in failure.message
    path.write_bytes(b"{}")
    with pytest.raises(CorpusError, match="is not gzip"):
        read(str(path))


def test_a_file_in_utf_16_is_refused_by_name(folder: Path) -> None:
    (folder / "corpus.jsonl").write_text(json.dumps(line(1)), encoding="utf-16")
    with pytest.raises(CorpusError, match=r"corpus\.jsonl line 1: the file is UTF-16"):
        read(str(folder / "corpus.jsonl"))


def test_ratings_are_read(folder: Path) -> None:
    vote = {"labels": ["sad"], "arousal": "3", "valence": None, "dominance": 1}
    [found] = read(jsonl(folder, line(arousal=2.5, valence="NaN", votes=[vote])))
    assert isinstance(found, Utterance)
    assert (found.arousal, found.valence, found.dominance) == (2.5, None, None)
    assert found.votes == (Vote("1", ("sad",), None, 3.0, None, 1.0),)
    assert the_failure(folder, line(2, arousal="high")).error_type == "bad_number"
    assert the_failure(folder, line(2, arousal=[1])).error_type == "bad_number"


def test_emobox_lines_and_speechbrain_files(folder: Path) -> None:
    emobox = {"key": "set-1", "dataset": "set", "wav": "a.wav", "type": "raw", "emo": "SAD"}
    [found] = read(jsonl(folder, emobox))
    assert isinstance(found, Utterance)
    assert (found.utterance_id, found.dataset, found.votes[0].labels) == ("set-1", "set", ("SAD",))
    path = folder / "train.json"
    path.write_text(
        '{"u1": {"wav": "{data_root}/a.wav", "length": 3.2, "emo": "hap"},\n'
        '"u2": 5,\n"u3": {"wav": "/etc/hosts"}, "u1": {"wav": "a.wav"}}'
    )
    good, *bad = read(str(path))
    assert isinstance(good, Utterance)
    assert good.votes[0].labels == ("hap",)
    assert [(one.error_type, one.row) for one in bad if isinstance(one, RowFailure)] == [
        ("bad_json", 2),
        ("bad_audio_path", 3),
        ("duplicate_id", 3),
    ]


@pytest.mark.parametrize("name", ["i?j.wav", "a b.wav", "c#d.wav", "e%20f.wav", "g+h&i.wav"])
def test_any_name_of_an_object_is_read(bucket: Location, clip: bytes, name: str) -> None:
    bucket.child("wavs?").write(name, clip)
    lines = [
        {"id": "relative", "audio": f"wavs?/{name}"},
        {"id": "absolute", "audio": f"{bucket.uri}/wavs?/{name}"},
        {"id": "above", "audio": f"x/../wavs?/./{name}"},
    ]
    bucket.write("m.jsonl", "\n".join(map(json.dumps, lines)).encode())
    found = list(read_ahead(pending_manifest(f"{bucket.uri}/m.jsonl", LABELS)))
    assert [one.audio for one in found if isinstance(one, Utterance)] == [clip] * 3


@pytest.mark.parametrize("column", ["emotion", "label", "labels", "emo"])
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_column_of_another_usual_name_is_the_vote(folder: Path, column: str, ending: str) -> None:
    if ending == "csv":
        path = sheet(folder, ["id", "audio", column], ["1", "a.wav", "angry"])
    else:
        path = jsonl(folder, line(**{column: "angry"}))
    [found] = read(path)
    assert isinstance(found, Utterance)
    assert found.votes == (Vote("1", ("angry",)),)


@pytest.mark.parametrize(
    "fields",
    [{"label": 3}, {"label": "3"}, {"label": 3.0}, {"label": "x", "soft_label": {"anger": 1}}],
)
def test_numbers_and_what_stands_beside_a_soft_label_are_no_votes(
    folder: Path, fields: dict[str, Any]
) -> None:
    [found] = read(jsonl(folder, line(**fields)))
    assert isinstance(found, Utterance)
    assert found.votes == ()


def test_words_go_before_numbers_among_the_columns_of_labels(folder: Path) -> None:
    header = ["id", "audio", "label", "emotion"]
    for path in (
        sheet(folder, header, ["1", "a.wav", "0", "sad"], ["2", "a.wav", "1.0", "anger"]),
        jsonl(folder, line(label=0, emotion="sad"), line(2, label="1", emotion=["anger"])),
    ):
        rows = read(path)
        words = [vote.labels for row in rows if isinstance(row, Utterance) for vote in row.votes]
        assert words == [("sad",), ("anger",)]
    path = sheet(folder, ["id", "audio", "label"], ["1", "a.wav", "0"], ["2", "a.wav", "1.0"])
    assert unused_columns(path, None) == ("label",)


def test_a_column_that_stands_there_twice_is_refused(folder: Path) -> None:
    (folder / "b.csv").write_text("audio,emotion,audio,x,x\na.wav,anger,b.wav,1,2\n")
    with pytest.raises(CorpusError, match=r"b\.csv has the column audio twice"):
        read(str(folder / "b.csv"))
    (folder / "b.csv").write_text("audio,emotion,x,x\na.wav,anger,1,2\n")
    assert isinstance(read(str(folder / "b.csv"))[0], Utterance)


def test_a_last_cell_of_two_lines_is_one_cell_in_tsv(folder: Path) -> None:
    path = folder / "c.tsv"
    rows = ["id audio transcript", '1 a.wav "two|lines"', '2 a.wav "stray', '3 a.wav no"end"']
    path.write_text("\n".join(rows).replace(" ", "\t").replace("|", "\n"))
    found = read(str(path))
    assert [row.transcript for row in found if isinstance(row, Utterance)] == [
        *("two\nlines", '"stray', 'no"end"')
    ]


def test_columns_that_nothing_is_read_from_are_named(folder: Path) -> None:
    path = sheet(folder, ["id", "audio", "mood", "emotion", "gender"], ["1", "a.wav", "x", "", ""])
    assert unused_columns(path, None) == ("mood",)
    path = jsonl(folder, line(mood="x", gender="f", text="yes"), "{torn", line(2, age=7))
    assert unused_columns(path, None) == ("mood", "gender", "age")


def table(folder: Path, text: str) -> list[Utterance | RowFailure]:
    (folder / "votes.csv").write_text(text, encoding="utf-8")
    return read(str(folder / "votes.csv"))


def test_rows_of_one_vote_each_are_one_utterance(folder: Path, clip: bytes) -> None:
    (folder / "s2").mkdir()
    (folder / "s2" / "a.wav").write_bytes(clip)
    first, second = table(
        folder,
        "file,annotator,emotion,speaker,typed\n"
        "a.wav,ann,anger,s1,fed up\n"
        "s2/a.wav,ann,sadness,s2,\n"
        "a.wav,ben,happiness,s1,\n"
        "a.wav,ann,sadness|anger,,\n"
        "a.wav,cid,,s1,nothing fits\n",
    )
    assert isinstance(first, Utterance)
    assert isinstance(second, Utterance)
    assert (first.utterance_id, first.speaker) == ("a", "s1")
    assert first.votes == (
        Vote("ann", ("anger", "sadness"), typed="fed up"),
        Vote("ben", ("happiness",)),
        Vote("cid", (), typed="nothing fits"),
    )
    assert (second.utterance_id, second.votes) == ("s2/a", (Vote("ann", ("sadness",)),))


@pytest.mark.parametrize("missing", ["", "nan", "None"])
def test_a_blank_row_of_a_vote_is_no_vote(folder: Path, missing: str) -> None:
    [row] = table(
        folder,
        f"file,annotator,emotion\na.wav,2.0,{missing}\na.wav,2.0,anger|\na.wav,{missing},sad\n"
        f"a.wav,{missing},{missing}\n",
    )
    assert isinstance(row, Utterance)
    assert row.votes == (Vote("2", ("anger",)), Vote("3", ("sad",)))


def test_rows_about_one_clip_that_disagree_are_told(folder: Path) -> None:
    (failure,) = table(
        folder, "id,audio,rater,label,speaker\nu,a.wav,1,anger,s1\nu,a.wav,2,anger,s2\n"
    )
    assert isinstance(failure, RowFailure)
    assert (failure.utterance_id, failure.error_type) == ("u", "conflicting_rows")
    assert "speaker is 's2' in line 3, and 's1' in an earlier one" in failure.message


def test_a_bad_row_of_a_vote_costs_only_itself(folder: Path) -> None:
    good, bad, lost = table(
        folder, "file,annotator,emotion\na.wav,ann,anger\na.wav,ben\n,cid,anger\n"
    )
    assert isinstance(good, Utterance)
    assert good.votes == (Vote("ann", ("anger",)),)
    assert isinstance(bad, RowFailure)
    assert isinstance(lost, RowFailure)
    assert (bad.error_type, lost.error_type) == ("bad_csv", "missing_id")


def test_recordings_that_differ_in_their_ending_are_two(folder: Path, clip: bytes) -> None:
    for name in ("a.flac", "b.wav"):
        (folder / name).write_bytes(clip)
    text = "file,emotion\na.wav,anger\nb.wav,anger\na.flac,sadness\n./a.flac,sadness\na.wav,sad\n"
    rows = table(folder, text)
    assert [row.utterance_id for row in rows] == ["a", "b", "a.flac", "a", "a"]
    assert [isinstance(row, Utterance) for row in rows] == [True, True, True, False, False]


def test_a_row_for_every_vote_without_annotators_says_what_is_missing(folder: Path) -> None:
    _, failure = table(folder, "file,emotion\na.wav,anger\na.wav,sadness\n")
    assert isinstance(failure, RowFailure)
    assert failure.error_type == "duplicate_id"
    assert "a row for every vote, name the column annotator" in failure.message


@pytest.mark.parametrize("method", ["size", "read"])
def test_a_file_that_the_system_refuses_costs_its_line(
    folder: Path, clip: bytes, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    (folder / "locked.wav").write_bytes(clip)
    real = getattr(Location, method)

    def refuse(place: Location, name: str) -> Any:
        if name == "locked.wav":
            raise StoreError("cannot read locked.wav: Permission denied")
        return real(place, name)

    monkeypatch.setattr(Location, method, refuse)
    failure = the_failure(folder, line(2, audio="locked.wav"))
    assert (failure.error_type, failure.utterance_id) == ("unreadable", "clip-2")
