"""How many actors a stage of the stream has."""

from __future__ import annotations

import math
from dataclasses import dataclass

import ray

from raypipe.config import ModelConfig, ResourcesConfig
from raypipe.engines.plugins import load_plugin
from raypipe.runtime.ray.session import nodes_with_cpus, possible_resources

_CLIP_S_PER_FRONTEND = 16.0
"""Mean seconds of a clip, times GPUs, that one frontend keeps busy: four GPUs of 4 s clips."""


@dataclass(frozen=True, slots=True)
class PoolSize:
    """Number of actors of a stage: at least, at first, and at most."""

    fewest: int
    now: int
    most: int

    @classmethod
    def fixed(cls, count: int) -> PoolSize:
        """A pool that does not change."""
        return cls(count, count, count)

    def within(self, room: float) -> PoolSize:
        """The same where there is room for so many actors; one is always tried."""
        most = max(1, int(min(room, self.most)))
        return PoolSize(min(self.fewest, most), min(self.now, most), min(self.most, most))


def pool_size(resources: ResourcesConfig, model: ModelConfig, stages: int = 1) -> PoolSize:
    """Actors of a model's stage on the connected cluster.

    ``auto`` is one on every GPU that is there, and on those that the cluster can grow to; one on
    every node of a cluster without GPUs; one for an engine that loads no weights.

    Args:
        resources: of the stage.
        model: that it loads.
        stages: number of stages that share the GPUs.
    """
    if resources.actors != "auto":
        return PoolSize.fixed(resources.actors)
    if not load_plugin(model.engine).loads_path:
        return PoolSize.fixed(1)
    if not resources.gpus:
        return PoolSize.fixed(max(1, nodes_with_cpus()))
    most = resources.actors_on(possible_resources().get("GPU", 0), stages)
    now = resources.actors_on(ray.cluster_resources().get("GPU", 0), stages)
    return PoolSize(1 if now < most else now, now, most)


def frontend_pool(resources: ResourcesConfig, models: PoolSize, clip_s: float) -> PoolSize:
    """Actors of the stage that decodes audio and makes features.

    Args:
        resources: of the run.
        models: size of the pool that they feed.
        clip_s: mean seconds of a clip.
    """
    if resources.frontend_workers != "auto":
        return PoolSize.fixed(resources.frontend_workers)
    if not resources.gpus:
        return PoolSize.fixed(1)  # far slower than what feeds them

    def feeding(actors: int) -> int:
        return max(1, math.ceil(actors * resources.gpus * clip_s / _CLIP_S_PER_FRONTEND))

    return PoolSize(feeding(models.fewest), feeding(models.now), feeding(models.most))
