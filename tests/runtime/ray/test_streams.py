"""Rows of a made-up stream, and its end; with Ray in tests/runtime/test_streams."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from raypipe.runtime.ray import streams as module
from raypipe.runtime.ray.streams import rows_of

BLOCKS = [pa.table({"a": [0, 1]}), pa.table({"a": []}), pa.table({"a": [2]}), pa.table({"a": [3]})]


class MadeUpStream:
    """A stream of two bundles, whose references are the blocks themselves."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.ends: list[bool] = []

    def iterator(self) -> MadeUpStream:
        return self

    def _to_ref_bundle_iterator(self) -> tuple[Iterator[Any], None, MadeUpStream]:
        return self._bundles(), None, self

    def _bundles(self) -> Iterator[Any]:
        yield SimpleNamespace(block_refs=BLOCKS[:3])
        if self.error is not None:
            raise self.error
        yield SimpleNamespace(block_refs=BLOCKS[3:])

    def shutdown(self, *, force: bool) -> None:
        self.ends.append(force)


@pytest.fixture(autouse=True)
def _no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ray", SimpleNamespace(get=lambda references: references))


def test_every_row_comes_once_in_order() -> None:
    stream: Any = MadeUpStream()
    assert [row["a"] for row in rows_of(stream)] == [0, 1, 2, 3]
    assert stream.ends == [True]


def test_who_stops_asking_ends_the_stream() -> None:
    stream: Any = MadeUpStream()
    rows: Any = rows_of(stream)
    assert next(rows) == {"a": 0}
    assert stream.ends == []
    rows.close()
    assert stream.ends == [True]


def test_an_error_comes_after_the_rows_before_it() -> None:
    stream: Any = MadeUpStream(RuntimeError("a node is lost"))
    rows = rows_of(stream)
    assert [next(rows)["a"] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(RuntimeError, match="a node is lost"):
        next(rows)
    assert stream.ends == [True]
