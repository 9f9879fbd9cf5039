"""The Triton kernel beside its reference: on a GPU, or on a CPU by Triton's interpreter."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch

from raypipe.engines.attention import tree_attention
from raypipe.engines.tree_cache import SharedSlots

needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")

CASES = [
    # rows, heads, key heads, lanes, slots, head size
    (3, 4, 4, 3, 50, 16),
    (2, 4, 2, 5, 130, 32),
    (2, 8, 1, 3, 64, 64),
    (1, 2, 2, 1, 200, 128),
    (5, 14, 2, 6, 333, 64),
]


def made_up(rows, heads, key_heads, lanes, slots, head_size, device):
    """Views into larger tensors, as a cache's window is; every lane sees a slot at least."""
    generator = torch.Generator().manual_seed(slots)
    query = torch.randn(rows, lanes, heads, head_size, generator=generator).transpose(1, 2)
    stored = torch.randn(2, rows, key_heads, slots + 48, head_size, generator=generator)
    keys, values = stored[:, :, :, 16 : 16 + slots].to(device)
    first = torch.randint(slots // 3, (rows,), generator=generator)
    stop = slots - torch.randint(slots // 3, (rows,), generator=generator)
    index = torch.arange(slots)
    within = (index >= first[:, None]) & (index < stop[:, None])
    seen = torch.rand(rows, 1, lanes, slots + 32, generator=generator)[..., 8 : 8 + slots] > 0.4
    visible = seen & within[:, None, None]
    visible[torch.arange(rows), 0, :, first] = True
    begin = slots // 3
    length = torch.randint(1, slots // 3, (rows,), generator=generator)
    length[rows // 2] = 0  # a row that shares nothing
    source = torch.randint(rows, (rows,), generator=generator)
    length = length[source] * (length > 0)  # rows with one source share the same
    visible |= (index >= begin)[None, None, None] & (index < (begin + length)[:, None])[
        :, None, None
    ]
    shared = SharedSlots(begin, (begin + length).to(device), source.to(device))
    return *(x.to(device) for x in (query, keys, values, visible, first, stop)), shared


def with_shared_slots(stored, shared):
    """Keys or values as every row means them: some slots are those of another row."""
    slots = torch.arange(stored.shape[2], device=stored.device)
    is_shared = (slots >= shared.start) & (slots < shared.stop[:, None])
    return torch.where(is_shared[:, None, :, None], stored[shared.sources], stored)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("case", CASES)
def test_the_kernel_is_the_tree_s_attention(case, dtype):
    assert_equals_reference(case, "cuda", dtype)


def assert_equals_reference(case, device, dtype=torch.float32):
    from raypipe.engines.tree_kernel import attend

    query, keys, values, visible, *span, shared = made_up(*case, device)
    query, keys, values = (x.to(dtype) for x in (query, keys, values))
    for slots in (None, shared):
        mine = attend(query, keys, values, visible, *span, slots, 0.3).double()
        if slots is not None:
            keys, values = (with_shared_slots(x, slots) for x in (keys, values))
        exact = (x.double() for x in (query, keys, values))
        expected, _ = tree_attention(torch.nn.Identity(), *exact, visible, 0.3)
        # In half precision the weights of the sum are rounded.
        tolerance = 2e-6 if dtype == torch.float32 else 2e-2
        assert (mine - expected).norm() <= tolerance * expected.norm()


@needs_triton
@pytest.mark.skipif(torch.cuda.is_available(), reason="the kernel itself runs here")
def test_the_kernel_is_the_tree_s_attention_by_triton_s_interpreter():
    # In a process of its own: Triton asks for the interpreter when a kernel is defined.
    environment = os.environ | {"TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, __file__], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]


@needs_triton
def test_what_the_kernel_does_not_serve_is_left_to_the_plain_path():
    from raypipe.engines.tree_kernel import serves

    assert serves(head_size=128, queries=5)
    assert not serves(head_size=80, queries=5)
    assert not serves(head_size=128, queries=200)


if __name__ == "__main__":
    for one in CASES:
        assert_equals_reference(one, "cpu")
