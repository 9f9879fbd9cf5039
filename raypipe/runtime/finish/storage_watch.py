"""Who else waits for storage: workers do, and nothing comes to the driver meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from raypipe.runtime.finish.progress import RunProgress
from raypipe.store.location import Location

_QUIET_S = 10.0
"""Without anything done, after which the driver asks the storage itself."""

_INTERVAL_S = 5.0


@contextmanager
def storage_watched(
    places: Sequence[Location],
    progress: RunProgress,
    *,
    quiet_s: float = _QUIET_S,
    interval_s: float = _INTERVAL_S,
) -> Iterator[None]:
    """Context in which a job's progress says that its storage does not answer.

    Args:
        places: that the job reads and writes.
        progress: of the job.
        quiet_s: without progress, after which the storage is asked.
        interval_s: between two questions.
    """
    ended = threading.Event()
    remote = list({place.endpoint: place for place in places if place.is_s3}.values())

    def watch() -> None:
        since: float | None = None
        while not ended.wait(interval_s):
            if progress.quiet_s < quiet_s:
                since = None
            elif all(place.answers() for place in remote):
                if since is not None:
                    progress.wait_for_storage(None)
                since = None
            elif not ended.is_set():
                since = since or time.monotonic() - quiet_s
                progress.wait_for_storage(time.monotonic() - since)

    watcher = threading.Thread(target=watch, name="raypipe-storage", daemon=True)
    if remote:
        watcher.start()
    try:
        yield
    finally:
        ended.set()
