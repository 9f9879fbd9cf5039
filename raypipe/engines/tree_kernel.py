"""The tree's attention in one decode step, as a Triton kernel for GPUs.

``raypipe.engines.attention.tree_attention`` is the same in torch's own operations and the kernel's
reference. torch's fused attention works on tiles of 64 or more queries where a decode step has a
handful of lanes, and reads the whole window for every row. Here one program takes all lanes of a
row and a key-value head, reads the slots between the row's latest token and the end of its prompt
once, and keeps a running softmax. A prefix that rows share is read from one of them: its programs
run side by side, and all but the first get it from the GPU's cache.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from raypipe.engines.tree_cache import SharedSlots

_FEWEST_QUERIES = 16
"""Triton's smallest matrix product."""

_MOST_QUERIES = 64

_HEAD_SIZES = (16, 32, 64, 128)
"""Larger tiles do not fit into the shared memory of every GPU in float32."""

_SLOTS_AT_ONCE = 64


def serves(head_size: int, queries: int) -> bool:
    """Whether the kernel can take the place of the plain path on a GPU.

    Args:
        head_size: 16, 32, 64 or 128.
        queries: lanes times query heads per key-value head.
    """
    return head_size in _HEAD_SIZES and queries <= _MOST_QUERIES


def attend(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    visible: Tensor,
    first: Tensor,
    stop: Tensor,
    shared: SharedSlots,
    scaling: float,
) -> Tensor:
    """Attended values of every lane.

    Args:
        query: shape ``(rows, heads, lanes, head_size)``.
        keys: the window, shape ``(rows, key_heads, slots, head_size)``.
        values: shape of ``keys``.
        visible: True where a lane sees a slot, shape ``(rows, 1, lanes, slots)``.
        first: slot of the window before which no lane of a row sees anything, shape ``(rows,)``.
        stop: slot from which on no lane of a row sees anything, shape ``(rows,)``.
        shared: slots that are read from another row, which holds the same.
        scaling: factor of the dot products.

    Returns:
        Shape ``(rows, lanes, heads, head_size)``.
    """
    rows, heads, lanes, head_size = query.shape
    groups = heads // keys.shape[1]
    attended = query.new_empty(rows, lanes, heads, head_size)
    _attend[rows, keys.shape[1]](
        query,
        keys,
        values,
        visible,
        first,
        stop,
        shared.stop,
        shared.sources,
        attended,
        scaling,
        lanes,
        shared.start,
        *query.stride()[:3],
        *keys.stride()[:3],
        *values.stride()[:3],
        visible.stride(0),
        visible.stride(2),
        GROUPS=groups,
        QUERIES=max(_FEWEST_QUERIES, triton.next_power_of_2(groups * lanes)),
        SLOTS=_SLOTS_AT_ONCE,
        HEAD_SIZE=head_size,
        # Otherwise float32 products would be taken in TF32.
        PRECISION="ieee" if query.dtype == torch.float32 else "tf32",
        num_warps=4,
        num_stages=2,
    )
    return attended


@triton.jit  # type: ignore[untyped-decorator]
def _attend(  # type: ignore[no-untyped-def]
    query,
    keys,
    values,
    visible,
    first,
    stop,
    shared_stop,
    sources,
    attended,
    scaling,
    lanes,
    shared_start,
    query_row,
    query_head,
    query_lane,
    key_row,
    key_head,
    key_slot,
    value_row,
    value_head,
    value_slot,
    visible_row,
    visible_lane,
    GROUPS: tl.constexpr,  # noqa: N803
    QUERIES: tl.constexpr,  # noqa: N803
    SLOTS: tl.constexpr,  # noqa: N803
    HEAD_SIZE: tl.constexpr,  # noqa: N803
    PRECISION: tl.constexpr,  # noqa: N803
):
    """All lanes of one row (axis 0 of the grid) and one key-value head (axis 1)."""
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    channels = tl.arange(0, HEAD_SIZE)
    index = tl.arange(0, QUERIES)
    lane, query_heads = index % lanes, head * GROUPS + index // lanes
    is_query = (index < GROUPS * lanes)[:, None]
    query_places = query + row * query_row + query_heads * query_head + lane * query_lane
    queries = tl.load(query_places[:, None] + channels, mask=is_query, other=0.0)
    head_keys, head_values = keys + head * key_head, values + head * value_head
    source, shared_end = tl.load(sources + row), tl.load(shared_stop + row).to(tl.int32)
    row_visible = visible + row * visible_row + lane[:, None] * visible_lane

    largest = tl.full([QUERIES], -1e30, tl.float32)
    total = tl.zeros([QUERIES], tl.float32)
    weighted = tl.zeros([QUERIES, HEAD_SIZE], tl.float32)
    begin, end = tl.load(first + row).to(tl.int32), tl.load(stop + row).to(tl.int32)
    for block in range(begin, end, SLOTS):
        slots = block + tl.arange(0, SLOTS)
        inside = slots < end
        sees = tl.load(row_visible + slots, mask=is_query & inside, other=0) != 0
        holder = tl.where((slots >= shared_start) & (slots < shared_end), source, row)
        key_places = (head_keys + holder * key_row + slots * key_slot)[:, None] + channels
        key = tl.load(key_places, mask=inside[:, None], other=0.0)
        scores = tl.dot(queries, tl.trans(key), input_precision=PRECISION) * scaling
        scores = tl.where(sees, scores, -1e30)
        now_largest = tl.maximum(largest, tl.max(scores, 1))
        weights = tl.where(sees, tl.exp(scores - now_largest[:, None]), 0.0)
        shrunk = tl.exp(largest - now_largest)
        value_places = (head_values + holder * value_row + slots * value_slot)[:, None] + channels
        value = tl.load(value_places, mask=inside[:, None], other=0.0)
        product = tl.dot(weights.to(value.dtype), value, input_precision=PRECISION)
        weighted = weighted * shrunk[:, None] + product
        total = total * shrunk + tl.sum(weights, 1)
        largest = now_largest
    result = weighted / tl.maximum(total, 1e-30)[:, None]
    heads = tl.num_programs(1) * GROUPS
    result_places = attended + ((row * lanes + lane) * heads + query_heads) * HEAD_SIZE
    tl.store(result_places[:, None] + channels, result.to(attended.dtype.element_ty), mask=is_query)
