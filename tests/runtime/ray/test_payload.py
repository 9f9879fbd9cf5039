"""Objects as cells of a table and back, large arrays without a copy."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from raypipe.runtime.ray.payload import packed, packed_row, unpacked

LARGE = np.arange(100_000, dtype=np.float32).reshape(100, 1000)
WORK = {"name": "shard-0", "large": LARGE, "small": np.arange(5), "columns": LARGE[:, :999].T}


def assert_same(found: dict[str, object]) -> None:
    assert found.keys() == WORK.keys()
    for key, value in WORK.items():
        np.testing.assert_array_equal(found[key], value)


@pytest.mark.parametrize("writable", [True, False])
def test_an_object_comes_back(writable: bool) -> None:
    table = packed(WORK)
    assert table.num_rows == 1
    found = unpacked(table, writable=writable)
    assert_same(found)
    assert found["large"].flags.writeable is writable


def test_large_arrays_are_views_of_the_batch() -> None:
    table = packed(WORK)
    begin = table["payload"].chunk(0).buffers()[2]
    address = unpacked(table)["large"].ctypes.data
    assert begin.address <= address < begin.address + begin.size
    assert address % 64 == 0


def test_what_is_writable_changes_nothing_else() -> None:
    table = packed(WORK)
    unpacked(table, writable=True)["large"][:] = 0.0
    assert_same(unpacked(table))


def test_a_row_of_several_is_found_in_its_place() -> None:
    tables = pa.concat_tables([packed("x" * length) for length in (0, 1, 100)] + [packed(WORK)])
    joined = tables.combine_chunks()
    assert [unpacked(joined.slice(at, 1)) for at in range(3)] == ["", "x", "x" * 100]
    assert_same(unpacked(joined.slice(3, 1)))


def test_a_stream_begins_with_rows() -> None:
    assert unpacked(pa.Table.from_pylist([packed_row("x")])) == "x"


def test_objects_without_arrays_are_small() -> None:
    assert packed("x").nbytes < 300
