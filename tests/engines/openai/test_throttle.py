"""The throttle, by what goes through it."""

from __future__ import annotations

import asyncio
import time

from raypipe.engines.openai.throttle import Throttle


def test_no_more_than_the_limit_are_in_flight() -> None:
    throttle, running, peaks = Throttle(4), 0, []

    async def one() -> None:
        nonlocal running
        async with throttle.slot():
            running += 1
            peaks.append(running)
            await asyncio.sleep(0.001)
            running -= 1

    async def all_of_them() -> None:
        await asyncio.gather(*(one() for _ in range(40)))

    asyncio.run(all_of_them())
    assert max(peaks) == 4
    assert len(peaks) == 40


def test_requests_that_were_under_way_together_halve_the_limit_once() -> None:
    throttle = Throttle(16)
    started = time.monotonic()
    for _ in range(10):
        throttle.overloaded(started, 0.0)
    assert throttle.limit == 8.0
    throttle.overloaded(time.monotonic(), 0.0)
    assert throttle.limit == 4.0


def test_the_limit_recovers_one_place_per_round_and_never_leaves_its_bounds() -> None:
    throttle = Throttle(4)
    for _ in range(10):
        throttle.overloaded(time.monotonic(), 0.0)
    assert throttle.limit == 1.0
    throttle.succeeded()
    assert throttle.limit == 2.0
    for _ in range(100):
        throttle.succeeded()
    assert throttle.limit == 4.0


def test_everybody_waits_as_long_as_one_was_asked_to() -> None:
    throttle = Throttle(4)

    async def asked() -> float:
        throttle.overloaded(time.monotonic(), 0.15)
        begun = time.monotonic()
        async with throttle.slot() as started:
            return started - begun

    assert asyncio.run(asked()) >= 0.14
