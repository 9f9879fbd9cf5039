"""S3 when it misbehaves: a real server behind a proxy that breaks requests on purpose."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from fault_proxy import Fault, Faults
from pyarrow.fs import S3FileSystem

from raypipe.errors import ObjectMissingError, StoreError
from raypipe.store import s3 as module
from raypipe.store.location import Location
from raypipe.store.patience import storage_patience

DATA = bytes(range(256)) * 4000


@pytest.fixture
def faulty(bucket: Location, faults: Faults) -> Location:
    """The empty bucket, seen through the proxy."""
    return Location(bucket.uri, faults.endpoint)


def puts(faults: Faults, name: str) -> int:
    return sum(method == "PUT" and path.endswith(name) for method, path in faults.seen)


def test_our_own_commit_is_recognised_when_its_reply_is_lost(
    bucket: Location, faulty: Location, faults: Faults
) -> None:
    faults.planned.append(Fault("lose_reply", "PUT", "a.parquet"))
    assert faulty.write_new("a.parquet", DATA, "one")
    assert puts(faults, "a.parquet") == 2  # boto3 asked again and heard 412
    assert bucket.read("a.parquet") == DATA
    assert not faulty.write_new("a.parquet", DATA, "one")


@pytest.mark.parametrize("status", [409, 500])
def test_a_conflict_or_a_server_error_is_tried_again(
    bucket: Location, faulty: Location, faults: Faults, status: int
) -> None:
    faults.planned.append(Fault("status", "PUT", "a.parquet", status=status, times=2))
    assert faulty.write_new("a.parquet", DATA, "one")
    assert puts(faults, "a.parquet") == 3
    assert bucket.read("a.parquet") == DATA


@pytest.mark.parametrize("action", ["cut_body", "flip_body", "shorten_body"])
def test_a_broken_body_is_read_again(
    bucket: Location, faulty: Location, faults: Faults, action: Any
) -> None:
    bucket.write("a.parquet", DATA)
    faults.planned.append(Fault(action, "GET", "a.parquet", times=2))
    assert faulty.read("a.parquet") == DATA
    assert sum(method == "GET" for method, _ in faults.seen) == 3


def test_a_body_that_stays_broken_is_an_error_with_its_cause(
    bucket: Location, faulty: Location, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BODY_TRIES", 2)
    bucket.write("a.parquet", DATA)
    faults.planned.append(Fault("flip_body", "GET", times=2))
    with pytest.raises(
        StoreError, match=r"cannot read s3://.*/a\.parquet whole in 2 tries"
    ) as error:
        faulty.read("a.parquet")
    assert error.value.__cause__ is not None


def test_an_object_that_changes_while_it_is_read_is_refused(
    bucket: Location, faulty: Location, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.write("a.parquet", DATA)
    faults.planned.append(Fault("cut_body", "GET"))
    monkeypatch.setattr(
        module, "_wait", lambda attempt: attempt and bucket.write("a.parquet", b"new")
    )
    with pytest.raises(StoreError, match="PreconditionFailed"):
        faulty.read("a.parquet")


def test_a_server_that_ignores_conditions_fails_the_probe(
    bucket: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = module.S3Objects._put

    def ignore_condition(self: Any, name: str, data: bytes, metadata: Any, **_: str) -> None:
        put(self, name, data, metadata)

    monkeypatch.setattr(module.S3Objects, "_put", ignore_condition)
    with pytest.raises(StoreError, match="If-None-Match"):
        bucket.probe_conditional_writes()


def test_the_probe_writes_once_and_then_never_again(s3: Any, bucket: Location) -> None:
    def modified() -> Any:
        return s3.client.list_objects_v2(Bucket=bucket.uri[5:])["Contents"][0]["LastModified"]

    bucket.probe_conditional_writes()
    first = modified()
    bucket.probe_conditional_writes()
    assert modified() == first


def test_a_missing_bucket_is_not_a_missing_object(s3: Any) -> None:
    nowhere = Location.parse("s3://no-such-bucket-here")
    for operation in (
        lambda: nowhere.read("a"),
        lambda: nowhere.exists("a"),
        lambda: nowhere.list(),
        lambda: nowhere.write("a", b"1"),
        lambda: nowhere.write_new("a", b"1", "one"),
        lambda: nowhere.probe_conditional_writes(),
    ):
        with pytest.raises(StoreError, match=r"no-such-bucket-here.*\(HTTP 404\)") as error:
            operation()
        assert not isinstance(error.value, ObjectMissingError)


def test_wrong_credentials_stop_the_work_and_stay_secret(
    bucket: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.write("a", b"1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-canary-secret")
    for operation in (lambda: bucket.read("a"), lambda: bucket.write("b", b"1")):
        with pytest.raises(StoreError, match=r"SignatureDoesNotMatch \(HTTP 403\)") as error:
            operation()
        assert not isinstance(error.value, ObjectMissingError)
        assert "canary" not in str(error.value)


def test_refused_access_is_not_tried_again(
    bucket: Location, faulty: Location, faults: Faults
) -> None:
    faults.planned.append(Fault("status", "GET", status=403, times=9))
    with pytest.raises(StoreError, match=r"AccessDenied \(HTTP 403\)"):
        faulty.read("a.parquet")
    assert len(faults.seen) == 1


def test_a_server_that_is_not_there_is_named(
    bucket: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # boto3's own back-off
    with pytest.raises(StoreError, match=r"cannot read s3://bucket/a: .*127\.0\.0\.1:9"):
        Location.parse("s3://bucket", "http://127.0.0.1:9").read("a")


def test_objects_of_others_are_read_and_listed(s3: Any, bucket: Location) -> None:
    name = bucket.uri[5:]
    s3.client.put_object(Bucket=name, Key="a/b.wav", Body=b"foreign")
    s3.client.put_object(Bucket=name, Key="a/", Body=b"")  # a console's idea of a folder
    assert bucket.list("") == ["a/b.wav"]
    assert bucket.read("a/b.wav") == b"foreign"
    assert bucket.digest("a/b.wav").startswith("etag:")


def test_listing_goes_beyond_one_page(bucket: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEYS_PER_PAGE", 7)
    names = [f"shard-{number:06d}.parquet" for number in range(20)]
    for name in reversed(names):
        bucket.write(f"many/{name}", b"1")
    assert bucket.child("many").list() == names


@pytest.mark.parametrize(
    ("patience_s", "least", "most"), [(0, 0, 1), (60, 45, 60), (900, 870, 900)]
)
def test_arrow_s_client_waits_about_as_long_as_the_storage_s_patience(
    patience_s: float, least: float, most: float
) -> None:
    pauses = [min(2.0**number, 20.0) / 2 for number in range(module._arrow_tries(patience_s) - 1)]
    assert least <= sum(pauses) <= most + 10


def test_arrow_reads_without_python_below_it(bucket: Location) -> None:
    """A file that is a Python object waits for Python's lock, which Arrow may hold meanwhile."""
    with storage_patience(60):
        patient = Location.parse(bucket.uri)
    filesystem, _ = patient.filesystem()
    assert type(filesystem) is S3FileSystem


@pytest.mark.parametrize(
    "name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
)
@pytest.mark.parametrize("value", ["CANARY\n", "CAN ARY", "CANÄRY"])
def test_a_key_that_no_request_can_hold_is_named_and_not_repeated(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv(name, value)
    place = Location.parse("s3://bucket/x", "http://127.0.0.1:9")
    for ask in (place.list, place.answers, lambda: place.read("a"), lambda: place.exists("a")):
        with pytest.raises(StoreError, match=rf"{name} \(env\) holds a line break") as caught:
            ask()
        assert "CAN" not in str(caught.value)


def test_a_server_that_takes_a_request_and_says_nothing_does_not_answer(
    bucket: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_QUICK_REPLY_S", 0.5)
    with socket.create_server(("127.0.0.1", 0), backlog=10) as silent:
        place = Location.parse(bucket.uri, f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert not place.answers()
    assert bucket.answers()
