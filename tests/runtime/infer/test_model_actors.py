"""A pool of actors over a stand-in for Ray, whose actors can be lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, RayTaskError

from raypipe.config import parse_config
from raypipe.errors import ClusterError, EngineError, ShardError, StoppedError
from raypipe.runtime.infer import model_actors
from raypipe.runtime.infer.model_actors import done_by_actors
from raypipe.runtime.infer.pools import PoolSize


@dataclass(frozen=True)
class Summary:
    part: int
    stopped: str | None = None
    resumable: bool = False


class Ray:
    """Actors that do a part when its result is fetched, the one that was asked last first."""

    def __init__(self, do: Callable[[int], Summary]) -> None:
        self.do, self.made, self.most = do, 0, 0

    def remote(self, **_: Any) -> Any:
        return lambda actor: SimpleNamespace(remote=self._actor)

    def _actor(self, context: object) -> Any:
        self.made += 1
        return SimpleNamespace(
            __ray_ready__=SimpleNamespace(remote=lambda: lambda: True),
            work=SimpleNamespace(remote=lambda part: lambda: self.do(part)),
        )

    def wait(self, references: Sequence[Any], num_returns: int) -> Any:
        self.most = max(self.most, len(references))
        return [references[-1]], references[:-1]

    def get(self, reference: Callable[[], Any]) -> Any:
        return reference()


def done(
    monkeypatch: pytest.MonkeyPatch,
    do: Callable[[int], Summary],
    parts: Sequence[int],
    actors: int = 2,
) -> tuple[list[int], Ray]:
    ray = Ray(do)
    fakes = {
        "ray": ray,
        "pool_size": lambda *_: PoolSize.fixed(actors),
        "check_resources": lambda **_: None,
        "time": SimpleNamespace(sleep=lambda _: None),
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(model_actors, name, fake)
    resources = {"gpus_per_actor": 0}
    run = parse_config({"input": {"shards": "s"}, "output": "o", "resources": resources})
    summaries = done_by_actors(object, None, run, parts, lambda held, part: held.work.remote(part))
    return [summary.part for summary in summaries], ray


def test_every_part_is_done_once_by_so_many_actors(monkeypatch: pytest.MonkeyPatch) -> None:
    found, ray = done(monkeypatch, Summary, range(7), actors=3)
    assert sorted(found) == [*range(7)]
    assert (ray.made, ray.most) == (3, 3)
    found, ray = done(monkeypatch, Summary, [1], actors=3)
    assert (found, ray.made) == ([1], 1)


def test_what_a_lost_actor_had_is_done_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = {2: 2, 5: 1}

    def do(part: int) -> Summary:
        if losses.get(part):
            losses[part] -= 1
            raise ActorDiedError
        return Summary(part)

    found, ray = done(monkeypatch, do, range(7))
    assert sorted(found) == [*range(7)]
    assert ray.made == 2 + 3


def test_losses_without_a_part_that_is_done_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def do(part: int) -> Summary:
        raise ActorDiedError

    with pytest.raises(ClusterError, match=r"^7 times in a row a node or a worker was lost"):
        done(monkeypatch, do, range(7))


def test_what_an_actor_raises_is_told_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def do(part: int) -> Summary:
        raise RayTaskError("work", "stack", ShardError("it is damaged")).as_instanceof_cause()

    with pytest.raises(ShardError, match=r"^it is damaged$"):
        done(monkeypatch, do, range(7))


def test_a_fault_of_the_model_ends_it_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineError, match="no such file"):
        done(monkeypatch, lambda part: Summary(part, "no such file"), range(7))


def test_at_the_end_of_a_budget_only_what_is_under_way_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    def do(part: int) -> Summary:
        asked.append(part)
        return Summary(part, "it is spent", True) if part == 1 else Summary(part)

    with pytest.raises(StoppedError, match="it is spent"):
        done(monkeypatch, do, range(7))
    assert sorted(asked) == [0, 1]
