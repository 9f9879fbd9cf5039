"""Memory of keys and values that outlives a call."""

from __future__ import annotations

import math

from torch import Tensor


class KeyValueMemory:
    """One piece of memory for the keys and one for the values of every layer.

    Each is laid out anew for every cache that takes it, as a tensor of its own would be: what is
    computed on it does not depend on what was held there before, nor on how much room there is.
    A cache that takes it ends the use of the one that had it.
    """

    def __init__(self) -> None:
        self._layers: dict[int, tuple[Tensor, Tensor]] = {}

    def tensors(
        self, layer_index: int, shape: tuple[int, ...], like: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Keys and values of a layer, contiguous, of finite numbers.

        Args:
            layer_index: which layer.
            shape: of each.
            like: has their arithmetic and device.
        """
        size = math.prod(shape)
        held = self._layers.pop(layer_index, None)
        if held is None or len(held[0]) < size or held[0].dtype != like.dtype:
            del held  # before its successor is made
            # Zeros, not empty: what is masked is multiplied with 0 all the same.
            held = like.new_zeros(size), like.new_zeros(size)
        self._layers[layer_index] = held
        keys, values = (part[:size].view(shape) for part in held)
        return keys, values

    def clear(self) -> None:
        """Forget numbers that were no numbers, and all others."""
        for held in self._layers.values():
            for part in held:
                part.zero_()
