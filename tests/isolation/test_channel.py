from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from raypipe.isolation.channel import Channel

Ends = tuple[Channel, Channel]


@pytest.fixture
def ends() -> Iterator[Ends]:
    here, there = map(Channel, socket.socketpair())
    yield here, there
    here.close()
    there.close()


def moved(ends: Ends, item: object, *, keep: bool = False) -> object:
    here, there = ends
    sending = threading.Thread(target=here.send, args=(item,), kwargs={"keep": keep})
    sending.start()
    received = there.receive()
    sending.join()
    return received


def test_objects_arrive_as_they_are(ends: Ends) -> None:
    for item in (None, "half \ud83d", {"a": [1.5, b"x"]}, (), b"y" * 3_000_000):
        assert moved(ends, item) == item


@pytest.mark.parametrize(
    "array",
    [
        np.arange(2_000_000, dtype=np.float32).reshape(1000, 2000),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(10)[::3],
        np.zeros((0, 4), np.float16),
        np.array(3.5),
        np.array([None, "x"], dtype=object),
    ],
    ids=["large", "fortran", "strided", "empty", "scalar", "objects"],
)
def test_arrays_arrive_as_they_are_and_can_be_written_to(ends: Ends, array: np.ndarray) -> None:
    received = moved(ends, {"array": array})["array"]
    np.testing.assert_array_equal(received, array)
    assert received.dtype == array.dtype
    assert received.flags.aligned
    assert received.flags.fnc == array.flags.fnc
    received[...] = array


def test_an_array_that_was_kept_is_the_same_object_as_before(ends: Ends) -> None:
    one, two = np.arange(5.0), np.arange(7.0)
    first = moved(ends, [one], keep=True)
    second = moved(ends, [one, two, one], keep=True)
    third = moved(ends, [two], keep=True)
    assert first[0] is second[0] is second[2]
    assert third[0] is second[1]
    np.testing.assert_array_equal(second[1], two)


def test_nothing_is_kept_beyond_something_that_is_sent_without(ends: Ends) -> None:
    one = np.arange(5.0)
    first = moved(ends, one, keep=True)
    assert moved(ends, one) is not first
    again = moved(ends, one, keep=True)
    assert again is not first
    assert moved(ends, one, keep=True) is again


def test_arrays_of_one_object_keep_their_identity(ends: Ends) -> None:
    one = np.arange(5.0)
    left, right = moved(ends, (one, one))
    assert left is right


def test_what_cannot_be_pickled_leaves_the_connection_as_it_was(ends: Ends) -> None:
    one = np.arange(5.0)
    first = moved(ends, one, keep=True)
    with pytest.raises(Exception, match="pickle"):
        ends[0].send([np.arange(3.0), lambda: None], keep=True)
    assert moved(ends, [one], keep=True)[0] is first


class Unreadable:
    def __reduce__(self) -> tuple[type[int], tuple[str]]:
        return int, ("no number",)


def test_what_cannot_be_read_leaves_the_connection_usable(ends: Ends) -> None:
    ends[0].send(Unreadable())
    with pytest.raises(ValueError, match="no number"):
        ends[1].receive()
    assert moved(ends, "next") == "next"


def test_a_closed_end_and_a_deadline_are_told_apart(ends: Ends) -> None:
    with pytest.raises(TimeoutError):
        ends[1].receive(time.monotonic() + 0.01)
    ends[0].close()
    with pytest.raises(EOFError):
        ends[1].receive()
