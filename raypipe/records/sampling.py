"""A request for sampled answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from raypipe.records.answers import Generation
from raypipe.records.corpus import Failure


class Sampler(Protocol):
    """An engine with the capability ``seeded_samples``."""

    def sample(self, inputs: Sequence[object], sampling: Sampling) -> list[Generation | Failure]:
        """For every input as many hypotheses as are asked for, each drawn by itself."""
        ...


@dataclass(frozen=True, slots=True)
class Sampling:
    """A request for answers drawn from the model's own distribution, token by token.

    Attributes:
        count: how many, at least 1.
        max_new_tokens: longest answer in tokens, at least 1.
        temperature: that logits are divided by, above 0.
        top_p: tokens are drawn from the likeliest ones that have this share of the probability
            together, in (0, 1].
        seed: another one draws others; what is drawn for an utterance depends on it, on the
            utterance's id and on nothing else.
    """

    count: int
    max_new_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0
    capability: ClassVar[str] = "seeded_samples"

    @property
    def lane_count(self) -> int:
        """Hypotheses followed at once."""
        return self.count

    def put(self, engine: Sampler, inputs: Sequence[object]) -> list[Generation | Failure]:
        """What the engine's method says."""
        return engine.sample(inputs, self)
