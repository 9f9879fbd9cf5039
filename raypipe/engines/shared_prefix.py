"""Tokens that several prompts begin with, read by the model once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from raypipe.engines.memory import PREFIX_TOKENS
from raypipe.engines.tree_cache import TreeCache
from raypipe.records import IntArray

if TYPE_CHECKING:
    from raypipe.engines.decoder_adapter import DecoderAdapter

_FEWEST_TOKENS = 32
"""Fewer are not worth a pass of their own; most chat templates open a prompt with fewer."""


def shared_lengths(
    prompts: Sequence[IntArray], audio_token_id: int | None, fewest: int = _FEWEST_TOKENS
) -> list[int]:
    """How many leading tokens each prompt has in common with others.

    Prompts that begin with the same ``fewest`` tokens are one group, and what all of the group
    begin with is its prefix. It ends before the first token of a clip, and leaves every prompt a
    token of its own, whose logits the answer begins with.

    Args:
        prompts: token ids of each, shape ``(tokens,)``.
        audio_token_id: stands for a piece of a clip; None if there are none.
        fewest: tokens of the shortest prefix.

    Returns:
        Tokens of each prompt's prefix; 0 for a prompt that shares none.

    Example:
        >>> import numpy as np
        >>> prompts = [np.array(ids) for ids in ([5, 6, 7, 1], [5, 6, 8], [5, 6, 7, 2], [9, 6, 7])]
        >>> shared_lengths(prompts, None, fewest=2)
        [2, 2, 2, 0]
    """
    heads = [_before_clip(token_ids, audio_token_id) for token_ids in prompts]
    groups: dict[bytes, list[int]] = {}
    for index, head in enumerate(heads):
        if len(head) >= fewest:
            groups.setdefault(head[:fewest].tobytes(), []).append(index)
    lengths = [0] * len(prompts)
    for group in groups.values():
        if len(group) > 1:
            of_group = [heads[index].tolist() for index in group]
            # What the first and the last in order have in common, all between them have.
            shared = _common(min(of_group), max(of_group))
            for index in group:
                lengths[index] = shared
    return lengths


def _before_clip(token_ids: IntArray, audio_token_id: int | None) -> IntArray:
    """A prompt up to its first audio token, or its last one where it has none."""
    is_audio = token_ids == audio_token_id
    return token_ids[: int(is_audio.argmax()) if is_audio.any() else len(token_ids) - 1]


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two prompts begin with in common."""
    pairs = enumerate(zip(first, second, strict=False))
    different = (place for place, (mine, other) in pairs if mine != other)
    return next(different, min(len(first), len(second)))


@dataclass(frozen=True, slots=True)
class Prefix:
    """Keys and values of tokens that prompts begin with.

    Attributes:
        number: above 0, another one for every prefix.
        length: in tokens.
        cache: whose only row holds them.
    """

    number: int
    length: int
    cache: TreeCache

    def tensors(self, layer_index: int) -> tuple[Tensor, Tensor]:
        """Keys and values in one layer, shape ``(1, key_heads, tokens, head_size)`` each."""
        slots = self.cache.prompt_slots(0, self.length)
        keys, values = self.cache.tensors(layer_index)
        return keys[:, :, slots], values[:, :, slots]


class Prefixes:
    """Prefixes that were read, the latest ones, up to 1,024 tokens of them together.

    Args:
        model: reads them.
    """

    def __init__(self, model: DecoderAdapter) -> None:
        self._model = model
        self._numbers = count(1)
        self._read: OrderedDict[bytes, Prefix] = OrderedDict()

    def get(self, token_ids: IntArray) -> Prefix:
        """Keys and values of a prefix, shape ``(tokens,)``, read now or earlier."""
        key = token_ids.tobytes()
        if key not in self._read:
            left = PREFIX_TOKENS - len(token_ids)
            while self._read and sum(prefix.length for prefix in self._read.values()) > left:
                self._read.popitem(last=False)
            self._read[key] = self._made(token_ids)
        self._read.move_to_end(key)
        return self._read[key]

    def forget(self) -> None:
        """Release the memory of all of them."""
        self._read.clear()

    def _made(self, token_ids: IntArray) -> Prefix:
        # One row by itself: its numbers depend on nothing else that is answered.
        device, length = self._model.device, len(token_ids)
        cache = TreeCache(1, length, lane_count=1, max_new_tokens=1, device=device)
        lengths = torch.tensor([length], device=device)
        slots = cache.start(torch.tensor([0], device=device), lengths)
        embeddings = self._model.embed_text(torch.from_numpy(token_ids)[None])
        self._model.prefill(embeddings, lengths, slots)
        return Prefix(next(self._numbers), length, cache)
