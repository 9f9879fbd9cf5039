"""Objects on their way between the stages of a stream: one row with one binary cell.

Large arrays lie in the cell as they are, so that a stage reads them where Ray keeps them and copies
none: what goes on to an engine's own process is most of the bytes.
"""

from __future__ import annotations

import pickle
from typing import Any, Final

import numpy as np
import pyarrow as pa

from raypipe.isolation.channel import with_large_beside

_PAYLOAD: Final = "payload"
_ALIGNED: Final = 64


def packed(work: object) -> pa.Table:
    """An object as a table of one row."""
    body, beside = with_large_beside(work)
    parts = [memoryview(body), *beside]
    head = np.array([len(parts), *(part.nbytes for part in parts)], dtype=np.int64)
    parts.insert(0, memoryview(head.tobytes()))
    ends = np.cumsum([_padded(part.nbytes) for part in parts])
    cell = pa.allocate_buffer(int(ends[-1]))
    room = np.frombuffer(cell, dtype=np.uint8)
    for part, end in zip(parts, ends.tolist(), strict=True):
        start = end - _padded(part.nbytes)
        room[start : start + part.nbytes] = np.frombuffer(part, dtype=np.uint8)
        room[start + part.nbytes : end] = 0
    offsets = pa.py_buffer(np.array([0, ends[-1]], dtype=np.int64))
    cells = pa.Array.from_buffers(pa.large_binary(), 1, [None, offsets, cell])
    return pa.table({_PAYLOAD: cells})


def packed_row(work: object) -> dict[str, bytes]:
    """The row of :func:`packed`, for what a stream begins with."""
    cell: bytes = packed(work)[_PAYLOAD][0].as_py()
    return {_PAYLOAD: cell}


def unpacked(batch: pa.Table, *, writable: bool = False) -> Any:
    """The one object in a batch.

    Args:
        batch: of one row, from :func:`packed`.
        writable: whether large arrays are copied, so that they can be changed; else they are views
            of the batch.
    """
    cell = _cell(batch)
    count = int(np.frombuffer(cell[:8], dtype=np.int64)[0])
    head = 8 * (1 + count)
    sizes = np.frombuffer(cell[8:head], dtype=np.int64).tolist()
    parts, start = [], _padded(head)
    for size in sizes:
        parts.append(cell[start : start + size])
        start += _padded(size)
    body, *beside = parts
    return pickle.loads(body, buffers=map(bytearray, beside) if writable else beside)


def _cell(batch: pa.Table) -> memoryview:
    """Bytes of the one row; a scalar of pyarrow would be a copy."""
    [array] = [chunk for chunk in batch[_PAYLOAD].chunks if len(chunk)]
    _, offsets, data = array.buffers()
    kind = np.int64 if pa.types.is_large_binary(array.type) else np.int32
    start, end = np.frombuffer(offsets, dtype=kind)[array.offset : array.offset + 2].tolist()
    return memoryview(data)[start:end].toreadonly()


def _padded(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED
