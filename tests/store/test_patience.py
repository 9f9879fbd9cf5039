"""Waiting for storage that does not answer, with a clock that is made up and with a real server."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from fault_proxy import Fault, Faults

from raypipe.config.sections import StorageConfig
from raypipe.errors import StoreError
from raypipe.store import patience as module
from raypipe.store import s3
from raypipe.store.location import Location
from raypipe.store.patience import (
    storage_patience,
    until_answered,
    waits_told,
    with_patience,
)

DATA = bytes(range(256)) * 400


class Clock:
    """Time that passes only while somebody sleeps."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(module, "_answered", {"there"})
    return clock


def silent_until(clock: Clock, end: float) -> Callable[[], float]:
    def ask() -> float:
        if clock.now < end:
            raise TimeoutError("nobody says anything")
        return clock.now

    return ask


def asked(ask: Callable[[], float], seconds: float, endpoint: str = "there") -> float:
    return until_answered(
        ask,
        lambda error: isinstance(error, TimeoutError),
        endpoint=endpoint,
        seconds=seconds,
    )


def test_an_answer_is_waited_for(clock: Clock) -> None:
    back = asked(silent_until(clock, 400), 900)
    assert 400 <= back < 400 + 15


def test_patience_ends_when_it_is_said_to(clock: Clock) -> None:
    with pytest.raises(TimeoutError):
        asked(silent_until(clock, 2000), 900)
    assert clock.now == pytest.approx(1000)


def test_without_patience_the_first_silence_is_an_error(clock: Clock) -> None:
    with pytest.raises(TimeoutError):
        asked(silent_until(clock, 101), 0)
    assert clock.now == 100


def test_what_has_never_answered_is_not_waited_for(clock: Clock) -> None:
    with pytest.raises(TimeoutError):
        asked(silent_until(clock, 101), 900, endpoint="mistyped")
    assert clock.now == 100
    assert asked(lambda: 1.0, 900, endpoint="mistyped") == 1.0
    assert asked(silent_until(clock, 110), 900, endpoint="mistyped") >= 110


def test_any_other_error_is_raised_at_once(clock: Clock) -> None:
    def refuse() -> float:
        raise PermissionError("not you")

    with pytest.raises(PermissionError):
        asked(refuse, 900)
    assert clock.now == 100


def test_every_operation_has_the_whole_patience_anew(clock: Clock) -> None:
    for outage in range(3):
        start = clock.now
        assert asked(silent_until(clock, start + 60), 90) < start + 90, outage


def test_waits_are_told_to_who_listens_else_on_stderr(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[float | None] = []
    with waits_told(told.append):
        asked(silent_until(clock, clock.now + 40), 900)
    assert told[0] == 0
    assert told[-1] is None
    seconds = [wait for wait in told if wait is not None]
    assert seconds == sorted(seconds)
    assert capsys.readouterr().err == ""
    asked(silent_until(clock, clock.now + 40), 900)
    lines = capsys.readouterr().err.splitlines()
    assert 2 <= len(lines) <= 5
    assert all(line.startswith("waiting for storage (") for line in lines)
    assert lines[0].endswith(" s): nobody says anything")


def test_a_location_keeps_the_patience_it_was_made_with(clock: Clock) -> None:
    with storage_patience(7):
        place = Location.parse("s3://bucket/a", "http://127.0.0.1:9")
    assert place.patience_s == place.child("b").patience_s == 7
    assert Location.parse("s3://bucket/a").patience_s == 0
    sent = pickle.loads(pickle.dumps(place.child("c")))
    assert (sent.uri, sent.endpoint, sent.patience_s) == (f"{place.uri}/c", place.endpoint, 7)
    # Who sent it here had an answer.
    assert place.endpoint in module._answered
    # Results do not depend on it.
    assert place == Location.parse("s3://bucket/a", "http://127.0.0.1:9")
    assert repr(place) == repr(Location.parse("s3://bucket/a", "http://127.0.0.1:9"))


def test_a_plan_s_locations_are_as_patient_as_its_config_says() -> None:
    @with_patience
    def plan(config: Any, more: str) -> Location:
        """Where it is."""
        return Location.parse(f"s3://bucket/{more}")

    config = SimpleNamespace(storage=StorageConfig(patience_s=3))
    assert plan(config, "x").patience_s == 3
    assert plan.__doc__ == "Where it is."
    assert Location.parse("s3://bucket/x").patience_s == 0


@pytest.fixture
def away(bucket: Location, faults: Faults, monkeypatch: pytest.MonkeyPatch) -> Iterator[Location]:
    """A patient location whose storage answers ten requests with 500."""
    monkeypatch.setattr(module, "_LONGEST_PAUSE_S", 0.05)
    with storage_patience(60):
        place = Location(bucket.uri, faults.endpoint)
    bucket.write("there.json", DATA)
    assert place.exists("there.json")
    faults.planned.extend(
        Fault("status", method, "/", status=500, times=10) for method in ("GET", "PUT", "HEAD")
    )
    yield place
    assert any(fault.times == 0 for fault in faults.planned)


def opened(place: Location, name: str) -> bytes:
    with place.open(name) as stream:
        return stream.read()


@pytest.mark.parametrize(
    "operation",
    [
        lambda place: place.read("there.json") == DATA,
        lambda place: opened(place, "there.json") == DATA,
        lambda place: place.exists("there.json"),
        lambda place: place.list(".json") == ["there.json"],
        lambda place: place.size("there.json") == len(DATA),
        lambda place: place.digest("there.json").startswith("sha256:"),
        lambda place: place.write("there.json", DATA) is None,
        lambda place: place.create("new.json", DATA),
        lambda place: place.write_new("new.json", DATA, "one"),
        lambda place: place.probe_conditional_writes() is None,
    ],
)
def test_every_operation_outlives_an_outage(
    away: Location, operation: Callable[[Location], bool]
) -> None:
    with waits_told(lambda waited: None):
        assert operation(away)


def test_a_commit_whose_reply_was_lost_is_our_own_after_an_outage(
    bucket: Location, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LONGEST_PAUSE_S", 0.05)
    with storage_patience(60):
        place = Location(bucket.uri, faults.endpoint)
    assert not place.exists("new.json")
    faults.planned.append(Fault("lose_reply", "PUT", "new.json", times=1))
    faults.planned.append(Fault("status", "PUT", "new.json", status=500, times=5))
    with waits_told(lambda waited: None):
        assert place.create("new.json", DATA)
        assert not place.create("new.json", DATA)
    assert bucket.read("new.json") == DATA


def test_a_refusal_is_not_waited_for(bucket: Location, faults: Faults) -> None:
    with storage_patience(60):
        place = Location(bucket.uri, faults.endpoint)
    assert not place.exists("a")
    faults.planned.append(Fault("status", "GET", "a", status=403, times=9))
    with pytest.raises(StoreError, match="403"):
        place.read("a")
    faults.planned.clear()
    with pytest.raises(StoreError, match="NoSuchBucket"), storage_patience(60):
        Location("s3://no-such-bucket-here", faults.endpoint).read("a")


def test_whether_it_answers_now_is_told_without_waiting(bucket: Location, faults: Faults) -> None:
    with storage_patience(60):
        place = Location(bucket.uri, faults.endpoint)
    assert place.answers()
    faults.planned.append(Fault("status", "GET", status=403, times=1))
    assert place.answers(), "a refusal is an answer"
    faults.planned.append(Fault("status", "GET", status=500, times=9))
    assert not place.answers()
    assert Location.parse("/nowhere").answers()


def test_silence_is_told_from_refusals_by_type() -> None:
    from botocore.exceptions import (
        ClientError,
        EndpointConnectionError,
        NoCredentialsError,
        SSLError,
    )

    def refusal(status: int, code: str) -> ClientError:
        error = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
        return ClientError(error, "GetObject")

    silences = [
        refusal(503, "SlowDown"),
        refusal(500, "InternalError"),
        refusal(429, "TooManyRequests"),
        refusal(400, "RequestTimeout"),
        EndpointConnectionError(endpoint_url="http://x"),
        ConnectionResetError(),
        TimeoutError(),
    ]
    refusals = [
        refusal(403, "AccessDenied"),
        refusal(404, "NoSuchBucket"),
        refusal(412, "PreconditionFailed"),
        refusal(501, "NotImplemented"),
        NoCredentialsError(),
        SSLError(endpoint_url="https://x", error="certificate verify failed"),
        OSError(28, "No space left on device"),
    ]
    assert [s3._is_silence(error) for error in silences] == [True] * len(silences)
    assert [s3._is_silence(error) for error in refusals] == [False] * len(refusals)
