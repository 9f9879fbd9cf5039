"""A clip through the audio encoder that vLLM has loaded, on its real frames only.

vLLM takes audio that is already encoded. How a family's is stands in its own file in
:mod:`raypipe.engines.families`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from raypipe.engines.families import family_of
from raypipe.engines.families.family import VllmSupport
from raypipe.records import ModelInput


def encode(model: Any, model_input: ModelInput) -> Tensor:
    """Embeddings that stand in the place of a clip's audio tokens.

    Args:
        model: vLLM's class of one of the families that the engine takes.
        model_input: an input that fits it.

    Returns:
        Embeddings, shape ``(audio tokens, hidden)``, in the model's arithmetic.
    """
    with torch.inference_mode():
        encoded: Tensor = _support(model).encode(model, model_input)
    return encoded


def take_encoded(model: Any) -> None:
    """Make vLLM's model take a clip that :func:`encode` has encoded."""
    _support(model).prepare(model)


def _support(model: Any) -> VllmSupport:
    """The family of a loaded model, whose class vLLM names as checkpoints do."""
    name = type(model).__name__
    support = family_of(name, [name], "vllm").vllm
    assert support is not None  # or the engine would not take the family
    return support
