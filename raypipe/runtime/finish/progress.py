"""Progress of a run: a bar on a terminal, a line every few seconds in a job's log."""

from __future__ import annotations

import time
from collections.abc import Callable
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
        self._what, self._waiting = what, waiting
        self._console = console or Console()
        self._total, self._done, self._start_done, self._errors = total, done, done, 0
        self._interval_s, self._clock = interval_s, clock
        self._started = self._last_line = clock()
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

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task(
                self._what, total=self._total, completed=self._done, note=self._waiting
            )
        else:
            self._console.print(f"{self._done}/{self._total} {self._what} done, {self._waiting}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif kind is None:
            self._console.print(self._line())

    def advance(self, utterances: int, errors: int) -> None:
        """Count one finished shard."""
        self._done += utterances
        self._errors += errors
        note = f"{self._errors} errors" if self._errors else ""
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, note=note)
        elif self._clock() - self._last_line >= self._interval_s:
            self._last_line = self._clock()
            self._console.print(self._line())

    def _line(self) -> str:
        elapsed = self._clock() - self._started
        rate = (self._done - self._start_done) / elapsed if elapsed > 0 else 0.0
        left = f", {(self._total - self._done) / rate:.0f} s left" if rate > 0 else ""
        return (
            f"{self._done}/{self._total} {self._what}, {self._errors} errors, "
            f"{rate:.1f} {self._what}/s, {elapsed:.0f} s{left}"
        )
