"""Progress of a run: a bar on a terminal, a line every few seconds in a job's log."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from raypipe.reporting.console import Console
from raypipe.runtime.ray.metrics import ProgressMetrics
from raypipe.store.patience import waits_told


class RunProgress:
    """Counts utterances of finished shards.

    Args:
        total: utterances in the run.
        done: of them, those that earlier attempts finished.
        console: where to write; a terminal gets a bar, anything else gets lines.
        interval_s: least time between two lines.
        what: that is counted.
        waiting: what happens before the first shard is finished.
    """

    def __init__(
        self,
        total: int,
        done: int = 0,
        console: Console | None = None,
        interval_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        what: str = "utterances",
        waiting: str = "starting the model",
    ) -> None:
        self._what, self._waiting, self._metrics = what, waiting, ProgressMetrics(what)
        self._console = console or Console()
        self._total, self._done, self._start_done, self._errors = total, done, done, 0
        self._interval_s, self._clock = interval_s, clock
        self._started = self._last_line = self._last_advance = clock()
        self._waits: str | None = None
        self._told = ExitStack()
        self._bar: Progress | None = None
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=self._console,
            )

    @property
    def quiet_s(self) -> float:
        """Seconds since something was counted."""
        return self._clock() - self._last_advance

    def __enter__(self) -> Self:
        self._told.enter_context(waits_told(self.wait_for_storage))
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task(
                self._what, total=self._total, completed=self._done, note=self._waiting
            )
        else:
            self._console.print(f"{self._done}/{self._total} {self._what} done, {self._waiting}")
        self._metrics.show(self._total, self._done, self._errors)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._told.close()
        if isinstance(error, KeyboardInterrupt):
            done = f"{self._done} of {self._total} {self._what}"
            error.args = (f"stopped at {done}; the same command continues",)
        if self._bar is not None:
            self._bar.stop()
        elif kind is None:
            self._console.print(self._line())

    def advance(self, utterances: int, errors: int) -> None:
        """Count one finished shard."""
        self._done += utterances
        self._errors += errors
        self._last_advance = self._clock()
        self._waits = None
        self._show()

    def start_again(self, done: int) -> None:
        """Count on from what is done now; what has failed meanwhile may have been counted twice."""
        self._done = done
        self._show()

    def wait_for_storage(self, seconds: float | None) -> None:
        """Say how long nothing has come of the storage; None once it answers."""
        self._waits = None if seconds is None else f"waiting for storage ({seconds:.0f} s)"
        self._metrics.show_wait(seconds or 0.0)
        self._show()

    def _show(self) -> None:
        """Keep bar and metrics true, or write a line if it is time for one."""
        self._metrics.show(self._total, self._done, self._errors)
        if self._bar is not None:
            note = self._waits or (f"{self._errors} errors" if self._errors else "")
            self._bar.update(self._task, completed=self._done, note=note)
        elif self._clock() - self._last_line >= self._interval_s:
            self._last_line = self._clock()
            self._console.print(self._line())

    def _line(self) -> str:
        if self._waits is not None:
            return f"{self._done}/{self._total} {self._what}, {self._waits}"
        elapsed = self._clock() - self._started
        rate = (self._done - self._start_done) / elapsed if elapsed > 0 else 0.0
        left = f", {(self._total - self._done) / rate:.0f} s left" if rate > 0 else ""
        return (
            f"{self._done}/{self._total} {self._what}, {self._errors} errors, "
            f"{rate:.1f} {self._what}/s, {elapsed:.0f} s{left}"
        )
