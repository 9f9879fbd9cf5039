"""The loss of answers' tokens: a sum over tokens, whose mean is taken over a whole step."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy

from raypipe.finetune.encoding import IGNORED


def loss_sum(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy summed over tokens, in nats, float32.

    A step divides the sum over all its examples, batches and workers by the number of all their
    target tokens. Means of batches with different numbers of tokens would weigh a token by the
    company it is in.

    Args:
        logits: before each target, shape ``(targets, vocabulary)``.
        targets: token ids, shape ``(targets,)``; :data:`IGNORED` counts nothing.

    Example:
        >>> import torch
        >>> float(loss_sum(torch.zeros(3, 4), torch.tensor([0, 1, IGNORED])))  # 2 log 4
        2.7725887298583984
    """
    return cross_entropy(logits.float(), targets, ignore_index=IGNORED, reduction="sum")
