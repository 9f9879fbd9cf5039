"""The attention function of the tree decoder, registered under a name of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.attention.bias import causal_lower_right
from torch.nn.functional import scaled_dot_product_attention
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

_NAME = "raypipe_tree"


def tree_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Scaled dot-product attention that never copies keys and values.

    With grouped queries and a mask, transformers' own function repeats every key and value once
    per group; here the groups become further query positions of the same key-value head instead.

    Args:
        module: the calling layer (part of transformers' calling convention, unused).
        query: shape ``(rows, heads, queries, head_size)``.
        key: shape ``(rows, key_heads, keys, head_size)``.
        value: shape of ``key``.
        attention_mask: True where a query sees a key, shape ``(rows, 1, queries, keys)``; None
            for causal attention over right-padded prompts. With more keys than queries, the
            first ones are those of a prefix that all queries see.
        scaling: factor of the dot products.

    Returns:
        The attended values, shape ``(rows, queries, heads, head_size)``, and no weights.
    """
    rows, heads, queries, head_size = query.shape
    groups = heads // key.shape[1]
    if attention_mask is None:
        mask = _after_prefix(query, key) if key.shape[2] > queries > 1 else None
        attended = scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            scale=scaling,
            is_causal=mask is None and queries > 1,
            enable_gqa=groups > 1,
        )
    else:
        folded = query.reshape(rows, key.shape[1], groups * queries, head_size)
        visible = attention_mask.repeat(1, 1, groups, 1) if groups > 1 else attention_mask
        attended = scaled_dot_product_attention(
            folded, key, value, attn_mask=visible, scale=scaling
        ).reshape(query.shape)
    return attended.transpose(1, 2).contiguous(), None


def _after_prefix(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """The mask of causal attention whose last query sees the last key."""
    queries, keys = query.shape[2], key.shape[2]
    if query.device.type == "cuda" and query.dtype != torch.float32:
        # No numbers but a name, which torch's flash attention knows; it takes no other mask.
        return causal_lower_right(queries, keys)
    everything = torch.ones(queries, keys, dtype=torch.bool, device=query.device)
    return everything.tril(keys - queries)


ALL_ATTENTION_FUNCTIONS.register(_NAME, tree_attention)


@contextmanager
def using_tree_attention(config: Any) -> Iterator[None]:
    """Context in which the model behind ``config``, and no other, uses :func:`tree_attention`."""
    before = config._attn_implementation
    config._attn_implementation = _NAME
    try:
        yield
    finally:
        config._attn_implementation = before
