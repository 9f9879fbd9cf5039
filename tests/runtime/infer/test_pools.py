"""How many actors a stage has, on clusters that are made up."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from raypipe.config import ModelConfig, ResourcesConfig
from raypipe.config.api import ApiConfig
from raypipe.runtime.infer import pools
from raypipe.runtime.infer.pools import PoolSize, frontend_pool, pool_size


def cluster(
    monkeypatch: pytest.MonkeyPatch, *, gpus: int = 0, possible: int | None = None, nodes: int = 1
) -> None:
    have = {"GPU": float(gpus)} if gpus else {}
    most = {"GPU": float(gpus if possible is None else possible)}
    monkeypatch.setattr(pools, "ray", SimpleNamespace(cluster_resources=lambda: have))
    monkeypatch.setattr(pools, "possible_resources", lambda: most)
    monkeypatch.setattr(pools, "nodes_with_cpus", lambda: nodes)


def sizes(pool: PoolSize) -> tuple[int, int, int]:
    return pool.fewest, pool.now, pool.most


ON_GPUS = ResourcesConfig(gpus_per_actor=1)


@pytest.mark.parametrize(
    ("resources", "facts", "expected"),
    [
        (ResourcesConfig(gpus_per_actor=0), {}, (1, 1, 1)),
        (ResourcesConfig(gpus_per_actor=0), {"nodes": 5}, (5, 5, 5)),
        (ON_GPUS, {"gpus": 8}, (8, 8, 8)),
        # No GPU node is up yet, or some more may come.
        (ON_GPUS, {"gpus": 0, "possible": 4}, (1, 1, 4)),
        (ON_GPUS, {"gpus": 2, "possible": 4}, (1, 2, 4)),
        (ResourcesConfig(gpus_per_actor=2), {"gpus": 8}, (4, 4, 4)),
        # Two on one GPU only where the config says how many.
        (ResourcesConfig(gpus_per_actor=0.5), {"gpus": 1}, (1, 1, 1)),
        (ResourcesConfig(gpus_per_actor=0.5, actors=2), {"gpus": 1}, (2, 2, 2)),
        (ResourcesConfig(gpus_per_actor=0, actors=3), {"nodes": 1}, (3, 3, 3)),
    ],
)
def test_there_is_one_actor_for_every_gpu_or_else_for_every_node(
    monkeypatch: pytest.MonkeyPatch,
    resources: ResourcesConfig,
    facts: dict[str, int],
    expected: tuple[int, int, int],
) -> None:
    cluster(monkeypatch, **facts)
    assert sizes(pool_size(resources, ModelConfig())) == expected


def test_a_verifier_s_stage_has_half_of_the_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster(monkeypatch, gpus=8)
    assert sizes(pool_size(ON_GPUS, ModelConfig(), stages=2)) == (4, 4, 4)


def test_an_endpoint_is_asked_by_one_actor(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster(monkeypatch, nodes=7)
    api = ApiConfig(preset="custom", base_url="http://127.0.0.1:1/v1")
    model = ModelConfig(engine="openai", path="some-model", api=api)
    assert sizes(pool_size(ResourcesConfig(gpus_per_actor=0), model)) == (1, 1, 1)


@pytest.mark.parametrize(
    ("room", "expected"),
    [(9.5, (2, 3, 8)), (2.9, (2, 2, 2)), (0.3, (1, 1, 1)), (float("inf"), (2, 3, 8))],
)
def test_a_pool_is_no_larger_than_there_is_room(
    room: float, expected: tuple[int, int, int]
) -> None:
    """Actors that take neither CPUs nor GPUs, such as an endpoint's, have room without an end."""
    assert sizes(PoolSize(2, 3, 8).within(room)) == expected


@pytest.mark.parametrize(
    ("resources", "models", "clip_s", "expected"),
    [
        (ON_GPUS, PoolSize.fixed(1), 4.0, (1, 1, 1)),
        (ON_GPUS, PoolSize.fixed(4), 4.0, (1, 1, 1)),
        (ON_GPUS, PoolSize.fixed(5), 4.0, (2, 2, 2)),
        (ON_GPUS, PoolSize.fixed(8), 30.0, (15, 15, 15)),
        (ON_GPUS, PoolSize(1, 2, 16), 8.0, (1, 1, 8)),
        (ResourcesConfig(gpus_per_actor=2), PoolSize.fixed(4), 4.0, (2, 2, 2)),
        (ON_GPUS, PoolSize.fixed(8), 0.0, (1, 1, 1)),  # no index says how long clips are
        (ResourcesConfig(gpus_per_actor=0), PoolSize.fixed(9), 30.0, (1, 1, 1)),
        (ResourcesConfig(gpus_per_actor=1, frontend_workers=3), PoolSize.fixed(9), 30.0, (3, 3, 3)),
    ],
)
def test_frontends_follow_the_gpus_and_the_clips(
    resources: ResourcesConfig, models: PoolSize, clip_s: float, expected: tuple[int, int, int]
) -> None:
    assert sizes(frontend_pool(resources, models, clip_s)) == expected
