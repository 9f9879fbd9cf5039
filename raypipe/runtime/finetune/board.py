"""What is known of a training while it runs; an actor of its own, which needs no torch."""

from __future__ import annotations

from raypipe.finetune.record import CurvePoint


class Board:
    """What the first worker tells of its steps, for whoever shows the progress."""

    def __init__(self) -> None:
        self._steps: tuple[int, int] | None = None
        self._points: list[CurvePoint] = []

    def begin(self, done: int, steps: int) -> None:
        """Take note of steps done before and of all steps."""
        self._steps = done, steps

    def note(self, point: CurvePoint) -> None:
        """Take note of a step."""
        self._points.append(point)

    def take(self) -> tuple[tuple[int, int] | None, list[CurvePoint]]:
        """Steps done before and of all, if they are known, and the points since the last call."""
        points, self._points = self._points, []
        return self._steps, points
