"""The tree's attention in one decode step, as Triton kernels for GPUs.

``raypipe.engines.attention.tree_attention`` is the same in torch's own operations and their
reference. torch's fused attention works on tiles of 64 or more queries where a decode step has a
handful of lanes, and reads the whole window for every row. Here one program takes all lanes of a
row and a key-value head, reads the slots between the row's latest token and the end of its prompt
once, and keeps a running softmax.

A prefix that rows share is attended to first and for all of them at once: a program of its own
kernel takes the lanes of many rows, which see all of it, and leaves the running softmax for the
other kernel to go on from.
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
"""Of a program, in either kernel."""

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
    shared: SharedSlots | None,
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
        shared: slots that all lanes of a row see, and that are read from another row, which holds
            the same; None if there are none.
        scaling: factor of the dot products.

    Returns:
        Shape ``(rows, lanes, heads, head_size)``.
    """
    rows, heads, lanes, head_size = query.shape
    key_heads = keys.shape[1]
    groups = heads // key_heads
    attended = query.new_empty(rows, lanes, heads, head_size)
    settings = {
        "GROUPS": groups,
        "HEAD_SIZE": head_size,
        # Otherwise float32 products would be taken in TF32.
        "PRECISION": "ieee" if query.dtype == torch.float32 else "tf32",
        "num_warps": 4,
        "num_stages": 2,
    }
    strides = *query.stride()[:3], *keys.stride()[:3], *values.stride()[:3]
    # Running sums, largest scores and totals of every query; not read where nothing is shared.
    sums = torch.empty_like(attended, dtype=torch.float32) if shared is not None else attended
    largest, totals = sums.new_empty(2, rows, lanes, heads)
    start, ends, sources = (0, stop, stop) if shared is None else shared
    if shared is not None:
        blocks = triton.cdiv(rows * groups * lanes, _MOST_QUERIES)
        _attend_prefix[blocks, key_heads](
            query,
            keys,
            values,
            ends,
            sources,
            sums,
            largest,
            totals,
            scaling,
            rows,
            lanes,
            start,
            *strides,
            QUERIES=_MOST_QUERIES,
            # So that float32 fits into the shared memory of a smaller GPU.
            SLOTS=_SLOTS_AT_ONCE // 2 if query.dtype == torch.float32 else _SLOTS_AT_ONCE,
            **settings,
        )
    _attend[rows, key_heads](
        query,
        keys,
        values,
        visible,
        first,
        stop,
        ends,
        sums,
        largest,
        totals,
        attended,
        scaling,
        lanes,
        start,
        *strides,
        visible.stride(0),
        visible.stride(2),
        SHARES=shared is not None,
        QUERIES=max(_FEWEST_QUERIES, triton.next_power_of_2(groups * lanes)),
        SLOTS=_SLOTS_AT_ONCE,
        **settings,
    )
    return attended


@triton.jit  # type: ignore[untyped-decorator]
def _attend_prefix(  # type: ignore[no-untyped-def]
    query,
    keys,
    values,
    ends,
    sources,
    sums,
    largest_scores,
    totals,
    scaling,
    rows,
    lanes,
    start,
    query_row,
    query_head,
    query_lane,
    key_row,
    key_head,
    key_slot,
    value_row,
    value_head,
    value_slot,
    QUERIES: tl.constexpr,  # noqa: N803
    GROUPS: tl.constexpr,  # noqa: N803
    SLOTS: tl.constexpr,  # noqa: N803
    HEAD_SIZE: tl.constexpr,  # noqa: N803
    PRECISION: tl.constexpr,  # noqa: N803
):
    """The prefixes of all lanes of some rows (axis 0 of the grid) and one key-value head."""
    head = tl.program_id(1).to(tl.int64)
    channels = tl.arange(0, HEAD_SIZE)
    index = tl.program_id(0) * QUERIES + tl.arange(0, QUERIES)
    row, of_row = (index // (GROUPS * lanes)).to(tl.int64), index % (GROUPS * lanes)
    lane, query_heads = of_row % lanes, head * GROUPS + of_row // lanes
    is_query = row < rows
    query_places = query + row * query_row + query_heads * query_head + lane * query_lane
    queries = tl.load(query_places[:, None] + channels, mask=is_query[:, None], other=0.0)
    source = tl.load(sources + row, mask=is_query, other=0).to(tl.int32)
    end = tl.load(ends + row, mask=is_query, other=start).to(tl.int32)

    largest = tl.full([QUERIES], -1e30, tl.float32)
    total = tl.zeros([QUERIES], tl.float32)
    weighted = tl.zeros([QUERIES, HEAD_SIZE], tl.float32)
    # Rows side by side have one source as a rule: one round, over the slots of that row.
    holder = tl.min(tl.where(end > start, source, rows), 0)
    while holder < rows:
        sees = (source == holder) & (end > start)
        stop = tl.max(tl.where(sees, end, start), 0)
        row_keys = keys + holder.to(tl.int64) * key_row + head * key_head
        row_values = values + holder.to(tl.int64) * value_row + head * value_head
        for block in range(start, stop, SLOTS):
            slots = block + tl.arange(0, SLOTS)
            inside = slots < stop
            key_places = row_keys + slots[:, None] * key_slot + channels
            key = tl.load(key_places, mask=inside[:, None], other=0.0)
            value_places = row_values + slots[:, None] * value_slot + channels
            value = tl.load(value_places, mask=inside[:, None], other=0.0)
            seen = sees[:, None] & inside
            largest, total, weighted = _gone_on(
                queries, key, value, seen, scaling, largest, total, weighted, PRECISION
            )
        holder = tl.min(tl.where((end > start) & (source > holder), source, rows), 0)
    heads = tl.num_programs(1) * GROUPS
    state = (row * lanes + lane) * heads + query_heads
    tl.store(largest_scores + state, largest, mask=is_query)
    tl.store(totals + state, total, mask=is_query)
    sum_places = sums + state[:, None] * HEAD_SIZE + channels
    tl.store(sum_places, weighted, mask=is_query[:, None])


@triton.jit  # type: ignore[untyped-decorator]
def _attend(  # type: ignore[no-untyped-def]
    query,
    keys,
    values,
    visible,
    first,
    stop,
    ends,
    sums,
    largest_scores,
    totals,
    attended,
    scaling,
    lanes,
    start,
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
    SHARES: tl.constexpr,  # noqa: N803
    QUERIES: tl.constexpr,  # noqa: N803
    GROUPS: tl.constexpr,  # noqa: N803
    SLOTS: tl.constexpr,  # noqa: N803
    HEAD_SIZE: tl.constexpr,  # noqa: N803
    PRECISION: tl.constexpr,  # noqa: N803
):
    """All lanes of one row (axis 0 of the grid) and one key-value head (axis 1)."""
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    channels = tl.arange(0, HEAD_SIZE)
    index = tl.arange(0, QUERIES)
    lane, query_heads = index % lanes, head * GROUPS + index // lanes
    of_row = index < GROUPS * lanes
    is_query = of_row[:, None]
    query_places = query + row * query_row + query_heads * query_head + lane * query_lane
    queries = tl.load(query_places[:, None] + channels, mask=is_query, other=0.0)
    row_keys = keys + row * key_row + head * key_head
    row_values = values + row * value_row + head * value_head
    row_visible = visible + row * visible_row + lane[:, None] * visible_lane
    heads = tl.num_programs(1) * GROUPS
    state = (row * lanes + lane) * heads + query_heads
    result_places = state[:, None] * HEAD_SIZE + channels

    begin, end = tl.load(first + row).to(tl.int32), tl.load(stop + row).to(tl.int32)
    skipped = 0
    if SHARES:
        largest = tl.load(largest_scores + state, mask=of_row, other=0.0)
        total = tl.load(totals + state, mask=of_row, other=0.0)
        weighted = tl.load(sums + result_places, mask=is_query, other=0.0)
        skipped = tl.load(ends + row).to(tl.int32) - start
    else:
        largest = tl.full([QUERIES], -1e30, tl.float32)
        total = tl.zeros([QUERIES], tl.float32)
        weighted = tl.zeros([QUERIES, HEAD_SIZE], tl.float32)
    for block in range(begin, end - skipped, SLOTS):
        slots = block + tl.arange(0, SLOTS)
        inside = slots < end - skipped
        if SHARES:
            slots = tl.where(slots >= start, slots + skipped, slots)
        sees = tl.load(row_visible + slots, mask=is_query & inside, other=0) != 0
        key_places = row_keys + slots[:, None] * key_slot + channels
        key = tl.load(key_places, mask=inside[:, None], other=0.0)
        value_places = row_values + slots[:, None] * value_slot + channels
        value = tl.load(value_places, mask=inside[:, None], other=0.0)
        largest, total, weighted = _gone_on(
            queries, key, value, sees, scaling, largest, total, weighted, PRECISION
        )
    result = weighted / tl.maximum(total, 1e-30)[:, None]
    tl.store(attended + result_places, result.to(attended.dtype.element_ty), mask=is_query)


@triton.jit  # type: ignore[untyped-decorator]
def _gone_on(  # type: ignore[no-untyped-def]
    queries,
    key,
    value,
    sees,
    scaling,
    largest,
    total,
    weighted,
    PRECISION: tl.constexpr,  # noqa: N803
):
    """The running softmax after some more slots: largest score, total and sum of the values."""
    scores = tl.dot(queries, tl.trans(key), input_precision=PRECISION) * scaling
    scores = tl.where(sees, scores, -1e30)
    now_largest = tl.maximum(largest, tl.max(scores, 1))
    weights = tl.where(sees, tl.exp(scores - now_largest[:, None]), 0.0)
    shrunk = tl.exp(largest - now_largest)
    product = tl.dot(weights.to(value.dtype), value, input_precision=PRECISION)
    weighted = weighted * shrunk[:, None] + product
    return now_largest, total * shrunk + tl.sum(weights, 1), weighted
