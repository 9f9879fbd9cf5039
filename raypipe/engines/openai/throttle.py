"""Limit of the requests in flight, lowered while an endpoint is overloaded."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator


class Throttle:
    """Additive increase, multiplicative decrease, as TCP shares a line.

    Make one per event loop.

    Args:
        most: most requests in flight.
        limit: how many to begin with, as an earlier throttle ended.
    """

    def __init__(self, most: int, limit: float | None = None) -> None:
        self._most = most
        self.limit = float(most) if limit is None else limit
        self._running = 0
        self._changed = asyncio.Condition()
        self._lowered = self._open_at = 0.0

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncIterator[float]:
        """Wait for a place in flight; the time it was taken at."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._running < int(self.limit))
            self._running += 1
        try:
            # Whoever holds a place waits out a Retry-After, so that nobody overtakes it.
            while (wait := self._open_at - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            yield time.monotonic()
        finally:
            async with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def succeeded(self) -> None:
        """One more place for every full round of good answers."""
        self.limit = min(float(self._most), self.limit + 1.0 / self.limit)

    def overloaded(self, started: float, wait_s: float) -> None:
        """Halve the places, once for all requests that were under way together.

        Args:
            started: when the refused request took its place.
            wait_s: how long the endpoint asks everybody to stay away.
        """
        now = time.monotonic()
        self._open_at = max(self._open_at, now + wait_s)
        if started > self._lowered:
            self._lowered = now
            self.limit = max(1.0, self.limit / 2.0)
