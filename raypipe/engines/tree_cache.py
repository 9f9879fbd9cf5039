"""Keys and values of utterances whose hypotheses branch like trees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from raypipe.engines.key_value_memory import KeyValueMemory
from raypipe.engines.lanes import LaneTree

if TYPE_CHECKING:
    from raypipe.engines.shared_prefix import Prefix

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


class SharedSlots(NamedTuple):
    """Slots of the window that hold the same in several rows, and need be read from one only.

    Attributes:
        start: first slot of all prompts.
        stop: slot after the prefix that a row shares, ``start`` where it shares none, shape
            ``(rows,)``.
        sources: row that the prefix is to be read from, shape ``(rows,)``.
    """

    start: int
    stop: Tensor
    sources: Tensor


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

    A prefix that prompts share lies at the beginning of each one's slots, and :attr:`shared` says
    where one copy of it may be read for all.

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
        tree: how the lanes of the only step follow each other; None for lanes side by side.
        spare: further tokens that a row may be fed in a step, see
            :class:`raypipe.engines.draft_cache.DraftCache`.
        memory: where the keys and values are put; None for some of its own.

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
        tree: LaneTree | None = None,
        spare: int = 0,
        memory: KeyValueMemory | None = None,
    ) -> None:
        self._memory = memory or KeyValueMemory()
        self.row_count, self.prompt_capacity = row_count, prompt_capacity
        self._lane_count = lane_count
        self._last_step = max(1, max_new_tokens - 1)
        self._granularity = granularity
        self._border = _round_up(self._last_step * lane_count + spare, ALIGNMENT)
        self._capacity = self._border + _round_up(prompt_capacity, ALIGNMENT)
        self._window = slice(self._border, self._capacity)
        # By layer: those of a twin that only some layers write need not be the first ones.
        self._keys: dict[int, Tensor] = {}
        self._values: dict[int, Tensor] = {}
        self._steps = torch.zeros(row_count, dtype=torch.int64, device=device)
        self._lengths = torch.zeros(row_count, dtype=torch.int64, device=device)
        self._visible = torch.zeros(
            row_count, 1, lane_count + spare, self._capacity, dtype=torch.bool, device=device
        )
        self._rows = torch.arange(row_count, device=device)[:, None]
        self._lanes = torch.arange(lane_count, device=device)
        self._prompt_slots = torch.arange(self._capacity - self._border, device=device)
        self._slots = torch.zeros(row_count, lane_count, dtype=torch.int64, device=device)
        self._token_rows = self._rows.expand_as(self._slots).flatten()
        # Within the window, not from the first slot of all.
        self.first = torch.zeros(row_count, dtype=torch.int64, device=device)
        self.stop = torch.zeros(row_count, dtype=torch.int64, device=device)
        self._prefix_lengths = torch.zeros(row_count, dtype=torch.int64, device=device)
        self._prefix_numbers = torch.zeros(row_count, dtype=torch.int64, device=device)
        self._shared_stop = torch.zeros(row_count, dtype=torch.int64, device=device)
        self._sources = torch.arange(row_count, device=device)
        self._shares = False
        self._tree = None if tree is None else LaneTree(*(part.to(device) for part in tree))

    @property
    def shared(self) -> SharedSlots | None:
        """What rows have in common; None until a prompt has had a prefix.

        Its tensors are changed in place.
        """
        if not self._shares:
            return None
        return SharedSlots(self._border - self._window.start, self._shared_stop, self._sources)

    @property
    def positions(self) -> Tensor:
        """Position of the tokens that every row feeds in now, shape ``(rows, lanes)``.

        ``(rows, 1)`` where lanes stand side by side, and all of a row's have the same.
        """
        positions = (self._lengths + self._steps - 1)[:, None]
        return positions if self._tree is None else positions + self._tree.depths

    def start(self, rows: Tensor, lengths: Tensor, prefix: Prefix | None = None) -> PromptSlots:
        """Give some rows to new utterances.

        Args:
            rows: which rows, shape ``(started,)``.
            lengths: tokens of their prompts, a prefix included, shape ``(started,)``.
            prefix: what all of these prompts begin with; None for nothing that was read already.

        Returns:
            What stands in for the cache while these prompts are read.
        """
        self._steps[rows] = 0
        self._lengths[rows] = lengths
        self._visible[rows] = False
        in_prompt = self._prompt_slots < lengths[:, None]
        self._visible[rows, :, :, self._border :] = in_prompt[:, None, None, :]
        self._shares |= prefix is not None
        self._prefix_lengths[rows] = 0 if prefix is None else prefix.length
        self._prefix_numbers[rows] = 0 if prefix is None else prefix.number
        # The first of the rows with the same prefix, also where those have no utterance any more.
        same = self._prefix_numbers[:, None] == self._prefix_numbers
        self._sources.copy_(same.int().max(1).indices)
        return PromptSlots(self, rows, prefix)

    def clear(self, rows: Tensor) -> None:
        """Forget what utterances that went wrong left in some rows, shape ``(cleared,)``.

        A masked slot's weight is 0, but 0 * NaN is NaN. Numbers may stay: writing zeros over all
        keys and values of a row takes a twentieth of the time of reading its prompt.
        """
        for stored in (*self._keys.values(), *self._values.values()):
            stored.index_fill_(0, rows, 0.0)

    def store_prompts(
        self, rows: Tensor, key: Tensor, value: Tensor, layer_index: int, offset: int = 0
    ) -> None:
        """Keep what a layer computed for the prompts of some rows.

        Args:
            rows: which rows, shape ``(started,)``.
            key: shape ``(started, key_heads, tokens, head_size)``, padded prompts; or ``(1, ...)``
                for what all of them begin with.
            value: shape of ``key``.
            layer_index: which layer, counted from 0.
            offset: position of the first token.
        """
        self.hold(layer_index, key.shape[1], key.shape[3], key)
        prompt = slice(self._border + offset, self._border + offset + key.shape[2])
        self._keys[layer_index][rows, :, prompt] = key
        self._values[layer_index][rows, :, prompt] = value

    def hold(self, layer_index: int, key_heads: int, head_size: int, like: Tensor) -> None:
        """Make the tensors of a layer if there are none yet, of the kind that ``like`` is."""
        if layer_index not in self._keys:
            shape = (self.row_count, key_heads, self._capacity, head_size)
            keys, values = self._memory.tensors(layer_index, shape, like)
            self._keys[layer_index], self._values[layer_index] = keys, values

    def prompt_slots(self, start: int, stop: int) -> slice:
        """The slots of a prompt's tokens from one position up to another."""
        return slice(self._border + start, self._border + stop)

    def set_window(self, steps: int, prompt_tokens: int) -> tuple[int, int]:
        """Window of the slots that are looked at from now on.

        Args:
            steps: decode steps that any row in use will have taken after the next one.
            prompt_tokens: tokens of the longest prompt in use.

        Returns:
            The window, as first slot and slot after the last: two equal ones have equal shapes.
        """
        return self._look_at(steps * self._lane_count, prompt_tokens)

    def _look_at(self, generated: int, prompt_tokens: int) -> tuple[int, int]:
        """Window of so many slots before the border and after it."""
        grain = self._granularity
        before, after = _round_up(generated, grain), _round_up(prompt_tokens, grain)
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
        if self._tree is not None:
            # All rows are at their only step, whose slots are those before the border.
            self._visible[..., self._border - self._lane_count : self._border] |= (
                self._tree.ancestors
            )
        torch.sub(first, self._window.start, out=self.first)
        self._say_where_prompts_end()
        return self._visible[..., self._window]

    def _say_where_prompts_end(self) -> None:
        torch.add(self._lengths, self._border - self._window.start, out=self.stop)
        torch.add(self._prefix_lengths, self._border - self._window.start, out=self._shared_stop)

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
    """Stand-in for the cache while the prompts of some rows are read.

    Args:
        cache: where their keys and values go.
        rows: which rows, shape ``(started,)``.
        prefix: tokens before those that are read now, which were read already; None for none.

    Attributes:
        offset: position of the first token that is read now.
    """

    def __init__(self, cache: TreeCache, rows: Tensor, prefix: Prefix | None) -> None:
        self._cache, self._rows, self._prefix = cache, rows, prefix
        self.offset = 0 if prefix is None else prefix.length
        self._tokens: tuple[Tensor, Tensor] | None = None

    def get_seq_length(self, *_: Any) -> int:
        """Part of the ``Cache`` interface; positions are always given explicitly."""
        return 0

    def update(
        self, key: Tensor, value: Tensor, layer_index: int, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Store the prompts' keys and values; prompts attend to themselves and to the prefix."""
        self._cache.store_prompts(self._rows, key, value, layer_index, self.offset)
        return self.whole(layer_index, key, value)

    def whole(self, layer_index: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Store the prefix's keys and values in one layer, and put them before those given."""
        if self._prefix is None:
            return key, value
        prefix = self._prefix.tensors(layer_index)
        self._cache.store_prompts(self._rows, *prefix, layer_index)
        rows = len(self._rows)
        before_key, before_value = (part.expand(rows, -1, -1, -1) for part in prefix)
        return torch.cat([before_key, key], 2), torch.cat([before_value, value], 2)

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
            slots = self._cache.prompt_slots(self.offset, self.offset + projected.shape[1])
            count = slots.stop - slots.start
            rows = self._rows.repeat_interleave(count, output_size=count * len(self._rows))
            every = torch.arange(slots.start, slots.stop, device=rows.device)
            self._tokens = rows, every.repeat(len(self._rows))
        return Places(*self._cache.tensors(layer_index), *self._tokens)


def _round_up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple
