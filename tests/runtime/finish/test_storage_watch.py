"""The driver asks the storage itself when nothing comes."""

from __future__ import annotations

import io
import time
from collections.abc import Callable

from rich.console import Console

from raypipe.runtime.finish.progress import RunProgress
from raypipe.runtime.finish.storage_watch import storage_watched
from raypipe.store.location import Location


class Place(Location):
    """A place whose storage is asked here."""

    silent = True

    def answers(self) -> bool:
        return not type(self).silent


def wait_for(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_quiet_job_says_that_it_waits_until_the_storage_answers() -> None:
    Place.silent = True
    text = io.StringIO()
    progress = RunProgress(100, 40, Console(file=text, width=200), interval_s=0.0)
    place = Place("s3://bucket/out", "http://127.0.0.1:9")
    with progress, storage_watched([place], progress, quiet_s=0.0, interval_s=0.01):
        wait_for(lambda: "40/100 utterances, waiting for storage (" in text.getvalue())
        Place.silent = False
        wait_for(lambda: "waiting" not in text.getvalue().splitlines()[-1])


def test_a_job_that_makes_progress_asks_nothing() -> None:
    text = io.StringIO()
    progress = RunProgress(100, 0, Console(file=text, width=200), interval_s=0.0)
    Place.silent = True
    place = Place("s3://bucket/out", "http://127.0.0.1:9")
    with progress, storage_watched([place], progress, quiet_s=60.0, interval_s=0.01):
        for _ in range(10):
            progress.advance(1, 0)
            time.sleep(0.02)
    assert "waiting" not in text.getvalue()


def test_local_places_are_not_watched() -> None:
    text = io.StringIO()
    progress = RunProgress(100, 0, Console(file=text, width=200), interval_s=0.0)
    with progress, storage_watched([Place("/out")], progress, quiet_s=0.0, interval_s=0.01):
        time.sleep(0.1)
    assert "waiting" not in text.getvalue()
