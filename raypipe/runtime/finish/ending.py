"""What a job's record says of its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from raypipe.errors import (
    ClusterError,
    ErrorShareError,
    RaypipeError,
    StoppedError,
    StoreError,
    interruption,
    unexpected,
)
from raypipe.runtime.ray.again import told_at_the_end
from raypipe.store.location import Location
from raypipe.store.run_record import RunRecord, Status, write_record


def finished_now(record: RunRecord, clock: float, **changes: object) -> RunRecord:
    """The record of a job that ends now.

    Args:
        record: of the running job.
        clock: ``time.monotonic()`` when it started.
        changes: other fields, such as its counts.
    """
    return record.changed(
        **changes,
        status="finished",
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - clock, 1),
    )


@contextmanager
def failures_recorded(
    tables: Location,
    record: RunRecord,
    usage: Callable[[], dict[str, object] | None] = lambda: None,
) -> Iterator[None]:
    """Context that writes into ``run.json`` why a job ended early, and raises that on.

    Args:
        tables: where the record is.
        record: of the running job.
        usage: what it has asked services for.
    """

    def write(status: Status, reason: str) -> None:
        # What is raised is why the job ended, and nobody waits for storage to say so.
        with suppress(StoreError):
            place = replace(tables, patience_s=0.0)
            write_record(place, record.changed(status=status, reason=reason, api_usage=usage()))

    try:
        with told_at_the_end(partial(write, "stopped")):
            yield
    except Exception as error:
        stopped = isinstance(error, StoppedError | ErrorShareError | ClusterError)
        reason = str(error) if isinstance(error, RaypipeError) else unexpected(error)[1]
        write("stopped" if stopped else "failed", reason)
        raise
    except KeyboardInterrupt as interrupt:
        write("stopped", interruption(interrupt))
        raise
