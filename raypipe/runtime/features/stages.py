"""The stages of a features job on Ray Data: thin coats over :mod:`raypipe.runtime.features.work`.

As in a run, a shard travels as one row with one binary cell and is never split.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Mapping

import pyarrow as pa
import ray.data

from raypipe.runtime.features.plan import FeaturesContext
from raypipe.runtime.features.work import (
    DecodedShard,
    EncodedShard,
    commit_encoded,
    decode_shard,
    encode_shard,
)
from raypipe.runtime.infer.context import ShardTask
from raypipe.runtime.ray.payload import packed, packed_row, unpacked
from raypipe.ssl import load

CPUS_PER_READER = 0.5
CPUS_PER_COMMIT = 0.25


@dataclasses.dataclass(frozen=True, slots=True)
class EncoderPool:
    """Actors with an encoder.

    Attributes:
        actors: how many there are.
        gpus: that each holds.
        cpus: that each holds.
        readers: number of processes that read and decode.
    """

    actors: int
    gpus: float
    cpus: float
    readers: int

    @property
    def required(self) -> dict[str, float]:
        """GPUs and CPUs that the stream holds at once."""
        return {
            "gpus": self.actors * self.gpus,
            "cpus": self.actors * self.cpus + self._cpus_around,
        }

    @property
    def _cpus_around(self) -> float:
        return self.readers * CPUS_PER_READER + CPUS_PER_COMMIT

    def within(self, have: Mapping[str, float]) -> EncoderPool:
        """The same where there is room for so many actors; one is always tried."""
        room = math.inf
        if self.cpus:
            room = min(room, (have.get("CPU", 0.0) - self._cpus_around) / self.cpus)
        if self.gpus:
            room = min(room, have.get("GPU", 0.0) / self.gpus)
        return dataclasses.replace(self, actors=max(1, int(min(room, self.actors))))


class DecodeStage:
    """Reads and decodes shards."""

    def __init__(self, context: FeaturesContext) -> None:
        self._context = context

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Decode the one shard in the batch."""
        task: ShardTask = unpacked(batch)
        return packed(decode_shard(task, self._context))


class EncoderStage:
    """Holds an encoder."""

    def __init__(self, context: FeaturesContext, device: str) -> None:
        self._context = context
        self._encoder = load(context.encoder.source(device, with_std=context.with_std))

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Encode the one shard in the batch."""
        shard: DecodedShard = unpacked(batch, writable=True)  # as torch wants them
        return packed(encode_shard(shard, self._context, self._encoder))


def _commit(batch: pa.Table, context: FeaturesContext) -> pa.Table:
    shard: EncodedShard = unpacked(batch)
    return pa.Table.from_pylist([dataclasses.asdict(commit_encoded(shard, context))])


def encoded_stream(
    tasks: list[ShardTask], context: FeaturesContext, pool: EncoderPool
) -> ray.data.Dataset:
    """The whole stream, lazily: one summary row comes out for every shard."""
    # Ray 2.60 offers the retry limits in no other way than the one it deprecates.
    warnings.filterwarnings("ignore", "`ray_remote_args` is deprecated", DeprecationWarning)
    rows = [packed_row(task) for task in tasks]
    source = ray.data.from_items(rows, override_num_blocks=len(rows))
    device = "cuda" if pool.gpus else "cpu"
    decoded = _actors(source, DecodeStage, (context,), pool.readers, CPUS_PER_READER, 0)
    encoded = _actors(decoded, EncoderStage, (context, device), pool.actors, pool.cpus, pool.gpus)
    return encoded.map_batches(
        _commit,
        batch_size=1,
        batch_format="pyarrow",
        fn_kwargs={"context": context},
        num_cpus=CPUS_PER_COMMIT,
    )


def _actors(
    shards: ray.data.Dataset,
    stage: type,
    arguments: tuple[object, ...],
    count: int,
    cpus: float,
    gpus: float,
) -> ray.data.Dataset:
    """Shards through actors, one at a time each.

    One that kills a process is tried three times; what is lost with a node may be tried as often
    before Ray knows that, and then the driver starts the stream again.
    """
    return shards.map_batches(
        stage,
        batch_size=1,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=count),
        fn_constructor_args=arguments,
        num_cpus=cpus,
        num_gpus=gpus,
        max_restarts=-1,
        max_task_retries=2,
    )
