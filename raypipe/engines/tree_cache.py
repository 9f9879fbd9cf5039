"""Keys and values of utterances whose hypotheses branch like trees."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

ALIGNMENT = 16
"""CUDA's fused attention copies a mask whose key axis is not a multiple of this, at every layer."""


class Places(NamedTuple):
    """Where the keys and values of the tokens that are read now go, in one layer.

    Attributes:
        keys: of all slots, shape ``(rows, key_heads, slots, head_size)``.
        values: shape of ``keys``.
        rows: of every token, shape ``(tokens,)``, row after row.
        slots: of every token, shape ``(tokens,)``.
    """

    keys: Tensor
    values: Tensor
    rows: Tensor
    slots: Tensor


class TreeCache:
    """Keys and values written once and never moved; a mask says which lane sees which.

    All lanes (beams, greedy) of an utterance are query positions of one sequence. A row holds one
    utterance; when it is answered, another one takes its place, and rows are at different steps.
    A row's slots::

        last step ... step 2, step 1 | prompt, padded on the right
                                      ^ border

    The token that lane b feeds in at decode step s (from 1) lies at slot
    ``border - s * lane_count + b``. The slots that any row needs are therefore one range around
    the border, the window, and a decode step reads no others. When beams are re-ranked, nothing
    is copied but the rows of a boolean mask that says which slots are a lane's ancestors.

    Stands in for a transformers ``Cache``: a decoder layer calls :meth:`update` and nothing else.
    A layer that writes its keys and values itself (:mod:`raypipe.engines.fused`) calls
    :meth:`places` and :meth:`window` instead.
    All state lies in fixed tensors that a step changes in place.

    Args:
        row_count: utterances decoded together.
        prompt_capacity: tokens of the longest prompt.
        lane_count: query positions per row in a decode step.
        max_new_tokens: longest hypothesis in tokens; the last one is never fed back.
        device: where the keys and values lie.
        granularity: the window grows in steps of so many slots, a multiple of 16.

    Attributes:
        first: slot of the window with a row's latest tokens, shape ``(rows,)``; none before it is
            seen by any lane of the row.
        stop: slot of the window after a row's prompt, shape ``(rows,)``; none from it on is seen.
    """

    def __init__(
        self,
        row_count: int,
        prompt_capacity: int,
        lane_count: int,
        max_new_tokens: int,
        device: torch.device,
        granularity: int = ALIGNMENT,
    ) -> None:
        self.row_count, self.prompt_capacity = row_count, prompt_capacity
        self._lane_count = lane_count
        self._last_step = max(1, max_new_tokens - 1)
        self._granularity = granularity
        self._border = _round_up(self._last_step * lane_count, ALIGNMENT)
        self._capacity = self._border + _round_up(prompt_capacity, ALIGNMENT)
        self._window = slice(self._border, self._capacity)
        # By layer: those of a twin that only some layers write need not be the first ones.
        self._keys: dict[int, Tensor] = {}
        self._values: dict[int, Tensor] = {}
        self._steps = torch.zeros(row_count, dtype=torch.int64, device=device)
        self._lengths = torch.zeros(row_count, dtype=torch.int64, device=device)
        self._visible = torch.zeros(
            row_count, 1, lane_count, self._capacity, dtype=torch.bool, device=device
        )
        self._rows = torch.arange(row_count, device=device)[:, None]
        self._lanes = torch.arange(lane_count, device=device)
        self._prompt_slots = torch.arange(self._capacity - self._border, device=device)
        self._slots = torch.zeros(row_count, lane_count, dtype=torch.int64, device=device)
        self._token_rows = self._rows.expand_as(self._slots).flatten()
        # Within the window, not from the first slot of all.
        self.first = torch.zeros(row_count, dtype=torch.int64, device=device)
        self.stop = torch.zeros(row_count, dtype=torch.int64, device=device)

    @property
    def positions(self) -> Tensor:
        """Position of the tokens that every row feeds in now, shape ``(rows,)``."""
        return self._lengths + self._steps - 1

    def start(self, rows: Tensor, lengths: Tensor) -> PromptSlots:
        """Give some rows to new utterances.

        Args:
            rows: which rows, shape ``(started,)``.
            lengths: tokens of their prompts, shape ``(started,)``.

        Returns:
            What stands in for the cache while these prompts are read.
        """
        self._steps[rows] = 0
        self._lengths[rows] = lengths
        self._visible[rows] = False
        in_prompt = self._prompt_slots < lengths[:, None]
        self._visible[rows, :, :, self._border :] = in_prompt[:, None, None, :]
        return PromptSlots(self, rows)

    def clear(self, rows: Tensor) -> None:
        """Forget what utterances that went wrong left in some rows, shape ``(cleared,)``.

        A masked slot's weight is 0, but 0 * NaN is NaN. Numbers may stay: writing zeros over all
        keys and values of a row takes a twentieth of the time of reading its prompt.
        """
        for stored in (*self._keys.values(), *self._values.values()):
            stored.index_fill_(0, rows, 0.0)

    def store_prompts(self, rows: Tensor, key: Tensor, value: Tensor, layer_index: int) -> None:
        """Keep what a layer computed for the prompts of some rows.

        Args:
            rows: which rows, shape ``(started,)``.
            key: shape ``(started, key_heads, tokens, head_size)``, padded prompts.
            value: shape of ``key``.
            layer_index: which layer, counted from 0.
        """
        self.hold(layer_index, key.shape[1], key.shape[3], key)
        prompt = slice(self._border, self._border + key.shape[2])
        self._keys[layer_index][rows, :, prompt] = key
        self._values[layer_index][rows, :, prompt] = value

    def hold(self, layer_index: int, key_heads: int, head_size: int, like: Tensor) -> None:
        """Make the tensors of a layer if there are none yet, of the kind that ``like`` is."""
        if layer_index not in self._keys:
            # Zeros, not empty: what is masked is multiplied with 0 all the same.
            shape = (self.row_count, key_heads, self._capacity, head_size)
            self._keys[layer_index] = like.new_zeros(shape)
            self._values[layer_index] = like.new_zeros(shape)

    def prompt_slots(self, token_count: int) -> Tensor:
        """The slots of a prompt of so many tokens."""
        return self._prompt_slots[:token_count] + self._border

    def set_window(self, steps: int, prompt_tokens: int) -> tuple[int, int]:
        """Window of the slots that are looked at from now on.

        Args:
            steps: decode steps that any row in use will have taken after the next one.
            prompt_tokens: tokens of the longest prompt in use.

        Returns:
            The window, as first slot and slot after the last: two equal ones have equal shapes.
        """
        grain = self._granularity
        before = _round_up(steps * self._lane_count, grain)
        after = _round_up(prompt_tokens, grain)
        start, stop = max(0, self._border - before), min(self._border + after, self._capacity)
        self._window = slice(start, stop)
        return start, stop

    def branch(self, parents: Tensor) -> Tensor:
        """Begin a decode step in which every lane continues one of the previous step's lanes.

        Args:
            parents: the lane that each lane continues, shape ``(rows, lanes)``.

        Returns:
            Which slots of the window each lane sees, itself included, shape
            ``(rows, 1, lanes, slots)``.
        """
        generated = self._visible[..., self._window.start : self._border]
        ancestors = parents[:, None, :, None].expand_as(generated)
        generated.copy_(generated.gather(2, ancestors))
        # A row without an utterance goes on counting, but not past its slots.
        self._steps.add_(1).clamp_(max=self._last_step)
        first = self._border - self._steps * self._lane_count
        torch.add(first[:, None], self._lanes, out=self._slots)
        self._visible.scatter_(3, self._slots[:, None, :, None], True)
        torch.sub(first, self._window.start, out=self.first)
        torch.add(self._lengths, self._border - self._window.start, out=self.stop)
        return self._visible[..., self._window]

    def get_seq_length(self, *_: Any) -> int:
        """Part of the ``Cache`` interface; positions are always given explicitly."""
        return 0

    def update(
        self, key: Tensor, value: Tensor, layer_index: int, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Store what a layer computed and return everything it may attend to.

        Args:
            key: one token per lane, shape ``(rows, key_heads, lanes, head_size)``.
            value: shape of ``key``.
            layer_index: which layer is calling, counted from 0.

        Returns:
            Keys and values of the window.
        """
        keys, values = self._keys[layer_index], self._values[layer_index]
        keys[self._rows, :, self._slots] = key.transpose(1, 2)
        values[self._rows, :, self._slots] = value.transpose(1, 2)
        return self.window(layer_index)

    def places(self, layer_index: int, *_: Any) -> Places:
        """Where the tokens go that the lanes of all rows feed in now."""
        return Places(*self.tensors(layer_index), self._token_rows, self._slots.flatten())

    def tensors(self, layer_index: int) -> tuple[Tensor, Tensor]:
        """Keys and values of all slots in one layer."""
        return self._keys[layer_index], self._values[layer_index]

    def window(self, layer_index: int) -> tuple[Tensor, Tensor]:
        """Keys and values of the window in one layer."""
        keys, values = self.tensors(layer_index)
        return keys[:, :, self._window], values[:, :, self._window]


class PromptSlots:
    """Stand-in for the cache while the prompts of some rows are read."""

    def __init__(self, cache: TreeCache, rows: Tensor) -> None:
        self._cache = cache
        self._rows = rows
        self._tokens: tuple[Tensor, Tensor] | None = None

    def get_seq_length(self, *_: Any) -> int:
        """Part of the ``Cache`` interface; positions are always given explicitly."""
        return 0

    def update(
        self, key: Tensor, value: Tensor, layer_index: int, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Store the prompts' keys and values; prompts attend to themselves."""
        self._cache.store_prompts(self._rows, key, value, layer_index)
        return key, value

    def places(self, layer_index: int, key_heads: int, head_size: int, projected: Tensor) -> Places:
        """Where the tokens of the prompts go, padding included.

        Args:
            layer_index: which layer, counted from 0.
            key_heads: of it.
            head_size: of it.
            projected: what its keys are part of, shape ``(started, tokens, channels)``.
        """
        self._cache.hold(layer_index, key_heads, head_size, projected)
        if self._tokens is None:
            slots = self._cache.prompt_slots(projected.shape[1])
            rows = self._rows.repeat_interleave(
                len(slots), output_size=len(slots) * len(self._rows)
            )
            self._tokens = rows, slots.repeat(len(self._rows))
        return Places(*self._cache.tensors(layer_index), *self._tokens)


def _round_up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple
