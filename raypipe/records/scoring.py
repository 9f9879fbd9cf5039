"""A request for the log-likelihoods of given answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from raypipe.errors import ConfigError
from raypipe.records.answers import Generation
from raypipe.records.corpus import Failure

_CHARACTERS_PER_TOKEN = 3


class TextScorer(Protocol):
    """An engine with the capability ``text_scores``."""

    def score_texts(
        self, inputs: Sequence[object], texts: Sequence[str]
    ) -> list[Generation | Failure]:
        """For every input a hypothesis per text, in their order, ended as an answer ends."""
        ...


@dataclass(frozen=True, slots=True)
class TextScores:
    """A request for the log-likelihood of some texts, each as the whole answer.

    Attributes:
        texts: at least one, none of them empty.

    Raises:
        ConfigError: for no texts, or an empty one.
    """

    texts: tuple[str, ...]
    capability: ClassVar[str] = "text_scores"

    def __post_init__(self) -> None:
        if not self.texts or "" in self.texts:
            raise ConfigError(f"texts to be scored are at least one and not empty: {self.texts}")

    @property
    def lane_count(self) -> int:
        """Hypotheses followed at once."""
        return len(self.texts)

    @property
    def max_new_tokens(self) -> int:
        """About so many tokens has the longest text with its end, for what memory it takes."""
        return max(len(text.encode()) for text in self.texts) // _CHARACTERS_PER_TOKEN + 2

    def put(self, engine: TextScorer, inputs: Sequence[object]) -> list[Generation | Failure]:
        """What the engine's method says."""
        return engine.score_texts(inputs, self.texts)
