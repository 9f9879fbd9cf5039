"""What torch decides about a GPU's arithmetic by switches of the whole process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def as_asked(dtype: torch.dtype) -> Iterator[None]:
    """Context in which a GPU computes in the arithmetic that was asked for, and plans nothing.

    The switches belong to the process: threads beside this one see them too, and find them as they
    were afterwards. Without a GPU they have no effect.

    - float32 is float32. cuDNN's convolutions would take TF32, with 10 bits of mantissa instead
      of 23, unless told otherwise, and matrix products where somebody allowed it.
    - cuDNN's attention is left out. It plans every shape anew, and prompts differ in length.

    Args:
        dtype: arithmetic of the weights.
    """
    convolutions, products = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    planned_attention = torch._C._get_cudnn_sdp_enabled()
    if dtype == torch.float32:
        torch.backends.cudnn.allow_tf32 = False
        torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.enable_cudnn_sdp(False)
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = convolutions
        torch.set_float32_matmul_precision(products)
        torch.backends.cuda.enable_cudnn_sdp(planned_attention)
