"""What a training needs of the other workers: sums and lists over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

import torch.distributed
from torch import Tensor

Item = TypeVar("Item")


class Workers(Protocol):
    """All workers of a training, as one of them sees them.

    Attributes:
        rank: of this worker, from 0.
        count: of all workers.
    """

    rank: int
    count: int

    def add_up(self, values: Tensor) -> Tensor:
        """The sum of the workers' tensors, the same on each."""
        ...

    def gather(self, items: Sequence[Item]) -> list[Item]:
        """The workers' items in the order of their ranks."""
        ...


class OneWorker:
    """A training in one process."""

    rank, count = 0, 1

    def add_up(self, values: Tensor) -> Tensor:
        """The same tensor."""
        return values

    def gather(self, items: Sequence[Item]) -> list[Item]:
        """The same items."""
        return list(items)


class TorchWorkers:
    """The workers of torch's default process group, which whoever starts them has made."""

    def __init__(self) -> None:
        self.rank = torch.distributed.get_rank()
        self.count = torch.distributed.get_world_size()

    def add_up(self, values: Tensor) -> Tensor:
        """The sum of the workers' tensors, the same on each."""
        torch.distributed.all_reduce(values)
        return values

    def gather(self, items: Sequence[Item]) -> list[Item]:
        """The workers' items in the order of their ranks."""
        lists: list[list[Item]] = [[] for _ in range(self.count)]
        torch.distributed.all_gather_object(lists, list(items))
        return [item for some in lists for item in some]
