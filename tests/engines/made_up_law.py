"""A made-up law of the next token, and a made-up grammar, for searches without a model."""

from __future__ import annotations

import numpy as np
import torch

from raypipe.engines.grammar import GrammarState

VOCABULARY = 30


def logits_after(prefix: tuple[int, ...], seed: int, sharpness: float) -> np.ndarray:
    """Raw logits that depend on the whole prefix, and on nothing else."""
    random = np.random.default_rng([seed, *prefix])
    return (sharpness * random.standard_normal(VOCABULARY)).astype(np.float32)


def log_sum_exp(logits: np.ndarray) -> np.float32:
    return np.float32(torch.logsumexp(torch.from_numpy(logits), -1).item())


def may_follow(prefix: tuple[int, ...]) -> np.ndarray:
    """A made-up grammar: runs of three residues, an end after three tokens at the earliest."""
    allowed = np.arange(VOCABULARY) % 3 == sum(prefix) % 3
    allowed[0] = len(prefix) >= 3
    return allowed


class MadeUp(GrammarState):
    def __init__(self, prefix: tuple[int, ...] = ()):
        super().__init__(None, np.zeros(4, dtype=np.uint8))
        self.prefix = prefix

    @property
    def allowed(self):
        padded = np.concatenate([may_follow(self.prefix), np.zeros(2, dtype=bool)])
        return np.packbits(padded, bitorder="little")

    def after(self, token_id):
        return MadeUp((*self.prefix, token_id))
