"""What is told to Prometheus, on stand-ins for Ray's metrics; the folder above has a run's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from raypipe.records import AskedQuestion, Failure, Generation, Hypothesis
from raypipe.runtime.finish.timings import Timing
from raypipe.runtime.ray import metrics
from raypipe.runtime.ray.metrics import ProgressMetrics, count_answers

Told = dict[tuple[str, ...], float]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    """Values by name and tags, of a process that is connected to Ray."""
    values: Told = defaultdict(float)

    def metric(name: str, description: str, tags: tuple[str, ...]) -> Any:
        def key(given: dict[str, str]) -> tuple[str, ...]:
            assert set(given) == set(tags)
            assert all(text.isascii() for text in given.values()), "Ray refuses it"
            return (name, *given.values())

        def put(value: float, given: dict[str, str] | None = None) -> None:
            values[key(given or {})] = value

        def inc(value: float, given: dict[str, str] | None = None) -> None:
            assert value > 0, "Ray refuses to add nothing"
            values[key(given or {})] += value

        return SimpleNamespace(set=put, inc=inc)

    monkeypatch.setattr(metrics, "Gauge", metric)
    monkeypatch.setattr(metrics, "Counter", metric)
    monkeypatch.setattr(metrics, "ray", SimpleNamespace(is_initialized=lambda: True))
    for made in (metrics._gauge, metrics._counter):
        made.cache_clear()
    yield values
    for made in (metrics._gauge, metrics._counter):
        made.cache_clear()


def generation(steps: int, *prompt_tokens: int | None) -> Generation:
    hypothesis = Hypothesis("greedy", 0, "x", (0,) * steps, None, None, "stop", None)
    questions = tuple(AskedQuestion("greedy", prompt_tokens=number) for number in prompt_tokens)
    return Generation("u", (hypothesis,), 20, 8, questions=questions)


def test_a_shard_s_seconds_and_tokens_are_added_up(told: Told) -> None:
    answers = [
        (generation(3, 20, 30), Failure("u", "engine", "x", "y")),
        (generation(4, None), generation(0, 1)),
    ]
    times = [Timing("greedy", 3, 0.5), Timing("beams", 3, 2.0), Timing("verify", 0, 0.0)]
    count_answers("m", times, answers)
    count_answers("m", times[:1], [])
    count_answers("é", [], [])
    assert told == {
        ("raypipe_shards", "m"): 2,
        ("raypipe_shards", "\\xe9"): 1,
        ("raypipe_engine_seconds", "m", "greedy"): 1.0,
        ("raypipe_engine_seconds", "m", "beams"): 2.0,
        ("raypipe_tokens", "m", "in"): 51,
        ("raypipe_tokens", "m", "out"): 7,
    }


def test_progress_is_what_is_now(told: Told) -> None:
    shown = ProgressMetrics("clips")
    shown.show(100, 40, 1)
    shown.show(100, 30, 1)
    shown.show_wait(12.0)
    shown.show_wait(0.0)
    assert told == {
        ("raypipe_items", "clips", "total"): 100,
        ("raypipe_items", "clips", "done"): 30,
        ("raypipe_items", "clips", "failed"): 1,
        ("raypipe_storage_wait_seconds",): 0.0,
    }


def test_without_ray_nothing_is_told(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "ray", SimpleNamespace(is_initialized=lambda: False))
    count_answers("m", [Timing("greedy", 1, 1.0)], [])
    ProgressMetrics("clips").show(1, 1, 0)
    ProgressMetrics("clips").show_wait(1.0)
    assert told == {}
