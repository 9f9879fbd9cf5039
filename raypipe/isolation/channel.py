"""Objects sent over a socket to another process of raypipe's own, arrays without a copy in memory.

Objects travel as pickles, so both ends must trust each other: a socket pair, never an address.
"""

from __future__ import annotations

import io
import math
import pickle
import socket
import struct
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_Array = NDArray[np.generic]
_HEADER = struct.Struct("<QQ")
_LEAST = 1 << 14
"""Bytes from which an array is no part of a pickle."""


class Channel:
    """One end of a connection.

    An array that was sent before, and kept, is not sent again: the other end gets the same object,
    as it would within one process. Engines know a clip that they have encoded by its array.

    Args:
        connection: one end of a socket pair.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._sent: dict[int, tuple[int, _Array]] = {}
        self._received: list[_Array] = []

    def fileno(self) -> int:
        """Descriptor to wait for what comes."""
        return self._socket.fileno()

    def close(self) -> None:
        """Let the other end see the end."""
        self._socket.close()

    def send(self, item: object, *, keep: bool = False, deadline: float = math.inf) -> None:
        """Send an object.

        Args:
            item: anything that can be pickled.
            keep: whether both ends keep its arrays, and those that were kept, until something is
                sent without.
            deadline: in seconds of the monotonic clock.

        Raises:
            TimeoutError: if the other end has not taken it all by then; the connection is useless.
            OSError: if the other end is gone.
            Exception: of pickle, for what it does not take; nothing has then been sent.
        """
        known = self._sent if keep else {}
        body = io.BytesIO()
        writer = _MessageWriter(body, known)
        writer.dump(item)
        arrays, beside = with_large_beside([array for _, array in writer.new.values()])
        parts = [memoryview(arrays), body.getbuffer(), *beside]
        header = pickle.dumps([len(part) for part in parts])
        head = memoryview(_HEADER.pack(len(known), len(header)) + header)
        for part in (head, *parts):
            self._socket.settimeout(_left_s(deadline))
            self._socket.sendall(part)
        self._sent = known | writer.new if keep else {}

    def receive(self, deadline: float = math.inf) -> object:
        """The next object.

        Args:
            deadline: in seconds of the monotonic clock.

        Raises:
            EOFError: if the other end is closed.
            TimeoutError: if it has not come by then.
            Exception: of pickle, for what cannot be read here; the next object can be received.
        """
        kept, length = _HEADER.unpack(self._read(_HEADER.size, deadline))
        sizes = pickle.loads(self._read(length, deadline))
        arrays, body, *buffers = [self._read(size, deadline) for size in sizes]
        del self._received[kept:]
        self._received += pickle.loads(arrays, buffers=buffers)
        return _MessageReader(body, self._received).load()

    def _read(self, size: int, deadline: float) -> bytearray:
        data = bytearray(size)
        rest = memoryview(data)
        while rest:
            self._socket.settimeout(_left_s(deadline))
            count = self._socket.recv_into(rest)
            if not count:
                raise EOFError("the other end is closed")
            rest = rest[count:]
        return data


def _left_s(deadline: float) -> float | None:
    """Seconds that an operation may take; None for as long as it takes."""
    return None if deadline == math.inf else max(deadline - time.monotonic(), 1e-3)


def with_large_beside(item: object) -> tuple[bytes, list[memoryview]]:
    """A pickle, and the large arrays that belong to it: small ones are faster inside."""
    beside: list[memoryview] = []

    def put(array: pickle.PickleBuffer) -> bool:
        view = array.raw()
        is_inside = view.nbytes < _LEAST
        if not is_inside:
            beside.append(view)
        return is_inside

    return pickle.dumps(item, protocol=5, buffer_callback=put), beside


class _MessageWriter(pickle.Pickler):
    """Writes numbers in the place of arrays.

    Args:
        file: to write to.
        known: arrays that need not be sent, by their id: numbers, and the arrays, which are held so
            that no other gets their id.
    """

    def __init__(self, file: io.BytesIO, known: dict[int, tuple[int, _Array]]) -> None:
        super().__init__(file, protocol=5)
        self._known = known
        self.new: dict[int, tuple[int, _Array]] = {}

    def persistent_id(self, item: object) -> int | None:
        """Number of an array; None for everything else, which is pickled in its place."""
        if type(item) is not np.ndarray:
            return None
        found = self._known.get(id(item)) or self.new.get(id(item))
        if found is None:
            found = len(self._known) + len(self.new), item
            self.new[id(item)] = found
        return found[0]


class _MessageReader(pickle.Unpickler):
    """Puts the arrays back."""

    def __init__(self, body: bytearray, arrays: Sequence[_Array]) -> None:
        super().__init__(io.BytesIO(body))
        self._arrays = arrays

    def persistent_load(self, number: int) -> _Array:
        """The array of a number."""
        return self._arrays[number]
