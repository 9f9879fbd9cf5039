"""Objects in directories and in a real S3 server: the same promises on both."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raypipe.errors import ConfigError, FingerprintError, ObjectMissingError, StoreError
from raypipe.store.location import Location
from raypipe.store.parquet import to_parquet_bytes

NAME = "model=a b/prompt=100%25/shard-000000.parquet"


def result(fingerprint: str, rows: int = 3) -> bytes:
    return to_parquet_bytes(
        pa.table({"row": list(range(rows))}), {"raypipe.fingerprint": fingerprint}
    )


def test_what_is_written_is_read_listed_and_found(place: Location) -> None:
    assert place.list("") == []
    assert not place.exists(NAME)
    assert place.write_new(NAME, result("one"), "one")
    assert place.read(NAME) == result("one")
    with place.open(NAME) as stream:
        assert stream.read(4) == b"PAR1"
    assert place.exists(NAME)
    assert place.fingerprint_of(NAME) == "one"
    place.write("run.json", b"{}")
    place.write("run.json", b'{"status": "finished"}')
    assert place.read("run.json") == b'{"status": "finished"}'
    place.write("b.parquet", b"")
    place.write(".hidden/c.parquet", b"")
    place.write(".d.parquet", b"")
    assert place.list() == ["b.parquet", NAME]
    assert place.list("") == ["b.parquet", NAME, "run.json"]
    assert place.child("model=a b").list() == ["prompt=100%25/shard-000000.parquet"]
    sizes = {"b.parquet": 0, NAME: len(result("one")), "run.json": 22}
    assert list(place.sizes().items()) == list(sizes.items())
    assert place.size(NAME) == len(result("one"))
    for name in ("none", "model=a b"):
        with pytest.raises(ObjectMissingError, match=name):
            place.size(name)


def test_what_has_not_changed_is_not_written_again(place: Location) -> None:
    place.write_changed("a.json", b"1")
    written = place.written()
    place.write_changed("a.json", b"1")
    assert place.written() == written
    place.write_changed("a.json", b"22")
    assert place.read("a.json") == b"22"


def test_arrow_reads_what_the_store_wrote(place: Location) -> None:
    place.write_new(NAME, result("one"), "one")
    filesystem, base = place.filesystem()
    table = pq.read_table(f"{base}/{NAME}", filesystem=filesystem, partitioning=None)
    assert table.column("row").to_pylist() == [0, 1, 2]


def test_the_first_commit_wins(place: Location) -> None:
    assert place.write_new(NAME, result("one", rows=1), "one")
    assert not place.write_new(NAME, result("one", rows=2), "one")
    assert place.read(NAME) == result("one", rows=1)


def test_another_runs_object_is_never_taken_for_ours(place: Location) -> None:
    place.write_new(NAME, result("one"), "one")
    with pytest.raises(FingerprintError, match=r"fingerprint one.*this run's is two"):
        place.write_new(NAME, result("two"), "two")
    place.write("foreign.parquet", b"not even Parquet")
    with pytest.raises(FingerprintError, match="none"):
        place.write_new("foreign.parquet", result("two"), "two")
    assert place.read(NAME) == result("one")


def test_a_fingerprint_is_found_inside_objects_that_were_copied(place: Location) -> None:
    place.write("copy.parquet", result("one"))
    place.write("copy.json", json.dumps({"fingerprint": "two"}).encode())
    place.write("list.json", b"[1]")
    place.write("broken.json", b"{")
    assert place.fingerprint_of("copy.parquet") == "one"
    assert place.fingerprint_of("copy.json") == "two"
    assert place.fingerprint_of("list.json") is None
    assert place.fingerprint_of("broken.json") is None


@pytest.mark.parametrize("operation", ["read", "open", "fingerprint_of", "digest"])
def test_a_missing_object_is_told_by_its_name(place: Location, operation: str) -> None:
    with pytest.raises(ObjectMissingError, match=r"gone\.parquet"):
        getattr(place, operation)("gone.parquet")


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/./b", "a\0b"])
def test_names_cannot_leave_their_place(tmp_path: Path, name: str) -> None:
    place = Location.parse(str(tmp_path))
    for operation in (place.read, place.exists, place.child):
        with pytest.raises(StoreError, match="not the name"):
            operation(name)


def test_of_many_writers_exactly_one_wins(place: Location) -> None:
    writers = 4  # SeaweedFS needs seconds for more on one key

    def commit(number: int) -> bool:
        own = pickle.loads(pickle.dumps(place))
        return own.write_new(NAME, result("one", rows=number), "one")

    with ThreadPoolExecutor(writers) as pool:
        won = list(pool.map(commit, range(writers)))
    assert sum(won) == 1
    assert place.read(NAME) == result("one", rows=won.index(True))


def test_digests_change_with_the_bytes(place: Location) -> None:
    place.write("a", b"one")
    before = place.digest("a")
    place.write("a", b"two")
    assert place.digest("a") != before
    place.write("a", b"one")
    assert place.digest("a") == before


def test_a_place_that_honours_conditional_writes_passes_the_probe(place: Location) -> None:
    place.probe_conditional_writes()
    place.probe_conditional_writes()
    assert place.list("") == []


def test_a_location_is_pickled_without_client_or_secret(s3: Any, bucket: Location) -> None:
    bucket.write("a", b"1")
    pickled = pickle.dumps(bucket)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert s3.environment[name].encode() not in pickled
    assert pickle.loads(pickled) == bucket
    assert pickle.loads(pickled).read("a") == b"1"


def test_paths_become_absolute_and_uris_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Location.parse("runs/demo/").uri == str(tmp_path / "runs/demo")
    assert Location.parse("s3://bucket/a//b/").uri == "s3://bucket/a/b"
    assert Location.parse("s3://bucket").child("a", "b/c").uri == "s3://bucket/a/b/c"
    assert Location.parse_object("s3://bucket/a/b.csv") == (
        Location.parse("s3://bucket/a"),
        "b.csv",
    )
    assert Location.parse_object("b.csv") == (Location.parse(str(tmp_path)), "b.csv")
    assert Location.parse_object("/b.csv")[0].uri == "/"


def test_the_endpoint_comes_from_the_call_or_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://general:1")
    assert Location.parse("s3://bucket").endpoint == "http://general:1"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://special:1")
    assert Location.parse("s3://bucket").endpoint == "http://special:1"
    assert Location.parse("s3://bucket", "https://given:1").endpoint == "https://given:1"


@pytest.mark.parametrize(
    ("uri", "endpoint"),
    [
        ("", None),
        ("s3://", None),
        ("http://169.254.169.254/latest", None),
        ("file:///etc", None),
        ("s3://key:secret@bucket/a", None),
        ("s3://bucket/a?secret_key=secret", None),
        ("s3://bucket", "https://key:secret@host"),
        ("s3://bucket", "host:9000"),
    ],
)
def test_other_schemes_and_credentials_in_urls_are_refused(uri: str, endpoint: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        Location.parse(uri, endpoint)
    assert "secret" not in str(caught.value)


def test_an_object_uri_needs_a_key() -> None:
    with pytest.raises(ConfigError, match="names no object"):
        Location.parse_object("s3://bucket")
