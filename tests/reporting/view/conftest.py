"""A finished run to look into, and a server of its pages."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from in_process import InProcess
from viewed_runs import RunsBesideEachOther, clips, finish

from raypipe.reporting.view.server import RunningView, running_view

Serve = Callable[..., AbstractContextManager[RunningView]]


@pytest.fixture
def runs(fake_engine: None, tmp_path: Path) -> InProcess:
    """Shards of nine clips in three shards."""
    runs = RunsBesideEachOther(tmp_path)
    runs.write(*clips(), rows_per_shard=3)
    return runs


@pytest.fixture
def run(runs: InProcess) -> Path:
    """A finished run."""
    return finish(runs, "first")


@contextmanager
def _serving(*places: object, **options: Any) -> Iterator[RunningView]:
    names = [str(place) for place in places]
    with running_view(names, endpoint=None, **options) as running:
        thread = threading.Thread(target=running.serve)
        thread.start()
        try:
            yield running
        finally:
            running.stop()
            thread.join()


@pytest.fixture
def serve() -> Serve:
    """A server of some runs, in a thread."""
    return _serving
