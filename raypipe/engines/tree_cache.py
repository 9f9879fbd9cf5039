"""Keys and values of a batch whose hypotheses branch like trees."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_ALIGNMENT = 16
"""CUDA's fused attention copies a mask whose key axis is not a multiple of this, at every layer."""


class TreeCache:
    """Every key and value written once and never moved; who sees what is a mask.

    All lanes (beams, greedy) of an utterance are query positions of one sequence. The prompt's
    slots come first and are shared by all lanes; the token that lane b feeds in at decode step s
    lies at slot ``prompt_width + (s - 1) * lane_count + b``. When beams are re-ranked, nothing is
    copied but the rows of a boolean mask that says which slots are a lane's ancestors.

    The slot of a step is the same for all rows, and a row uses each step's slots at most once. A
    row could therefore start later than its neighbours and wrap around: continuous refill needs
    no other layout.

    Stands in for a transformers ``Cache``: a decoder layer calls :meth:`update` and nothing else.

    Args:
        prompt_lengths: tokens of each row's prompt, shape ``(rows,)``.
        prompt_width: tokens of the padded prompts.
        lane_count: query positions per row in a decode step.
        max_new_tokens: longest hypothesis in tokens; the last one is never fed back.
    """

    def __init__(
        self, prompt_lengths: Tensor, prompt_width: int, lane_count: int, max_new_tokens: int
    ) -> None:
        self._prompt_width = prompt_width
        self._lane_count = lane_count
        self._capacity = _round_up(prompt_width + (max_new_tokens - 1) * lane_count)
        self._steps = 0
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []
        rows, device = len(prompt_lengths), prompt_lengths.device
        self._visible = torch.zeros(
            rows, 1, lane_count, self._capacity, dtype=torch.bool, device=device
        )
        in_prompt = torch.arange(prompt_width, device=device) < prompt_lengths[:, None]
        self._visible[..., :prompt_width] = in_prompt[:, None, None, :]
        self._itself = torch.eye(lane_count, dtype=torch.bool, device=device)

    def get_seq_length(self, *_: Any) -> int:
        """Part of the ``Cache`` interface; positions are always given explicitly."""
        return 0

    def update(
        self, key: Tensor, value: Tensor, layer_index: int, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Store what a layer computed and return everything it may attend to.

        Args:
            key: shape ``(rows, key_heads, tokens, head_size)``: the whole padded prompt first,
                one token per lane at every later step.
            value: shape of ``key``.
            layer_index: which layer is calling, counted from 0.

        Returns:
            Keys and values of the slots up to the current step.
        """
        if self._steps == 0:
            self._allocate(key)
            self._keys[layer_index][:, :, : self._prompt_width] = key
            self._values[layer_index][:, :, : self._prompt_width] = value
            return key, value
        keys, values = self._keys[layer_index], self._values[layer_index]
        start = self._first_slot()
        keys[:, :, start : start + self._lane_count] = key
        values[:, :, start : start + self._lane_count] = value
        return keys[:, :, : self._used()], values[:, :, : self._used()]

    def branch(self, parents: Tensor) -> Tensor:
        """Begin a decode step in which every lane continues one of the previous step's lanes.

        Args:
            parents: the lane that each lane continues, shape ``(rows, lanes)``.

        Returns:
            Which slots each lane sees, itself included, shape ``(rows, 1, lanes, slots)``.
        """
        self._steps += 1
        start = self._first_slot()
        generated = self._visible[..., self._prompt_width : start]
        ancestors = parents[:, None, :, None].expand_as(generated)
        self._visible[..., self._prompt_width : start] = generated.gather(2, ancestors)
        self._visible[..., start : start + self._lane_count] = self._itself
        return self._visible[..., : self._used()]

    def _first_slot(self) -> int:
        return self._prompt_width + (self._steps - 1) * self._lane_count

    def _used(self) -> int:
        return min(_round_up(self._first_slot() + self._lane_count), self._capacity)

    def _allocate(self, like: Tensor) -> None:
        rows, heads, _, head_size = like.shape
        # Zeros, not empty: a masked slot's weight is 0, and 0 * NaN of stale memory is NaN.
        shape = (rows, heads, self._capacity, head_size)
        self._keys.append(like.new_zeros(shape))
        self._values.append(like.new_zeros(shape))


def _round_up(count: int) -> int:
    return -(-count // _ALIGNMENT) * _ALIGNMENT
