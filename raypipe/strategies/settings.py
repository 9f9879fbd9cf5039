"""What of the strategies can be changed without asking a model again."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from raypipe.errors import ConfigError
from raypipe.strategies.token_level import TokenSteps


@dataclass(frozen=True, slots=True)
class AdaptiveSettings:
    """When ``adaptive`` is content with a cheap strategy.

    Attributes:
        cheap: the strategy whose prediction is looked at first.
        expensive: the strategy that answers for utterances found ambiguous.
        threshold: in bits, >= 0. An utterance is ambiguous if the entropy of the cheap prediction
            lies above it, or if that prediction is invalid.

    Raises:
        ConfigError: if both are one strategy, one of them is ``adaptive`` itself, or the
            threshold is negative or not finite.
    """

    cheap: str = "greedy"
    expensive: str = "w_bon"
    threshold: float = 1.0

    def __post_init__(self) -> None:
        if self.cheap == self.expensive or "adaptive" in (self.cheap, self.expensive):
            raise ConfigError(
                f"adaptive needs two other strategies, got cheap {self.cheap!r} and "
                f"expensive {self.expensive!r}"
            )
        if not 0.0 <= self.threshold < np.inf:
            raise ConfigError(
                f"the adaptive threshold is 0 bits or more and finite, got {self.threshold}"
            )


@dataclass(frozen=True, slots=True)
class AggregationSettings:
    """How hypotheses become distributions.

    Attributes:
        tau: total concentration of every Dirichlet component, > 0.
        token_steps: steps that the token strategies average over, ``all`` or ``words``.
        token_temperature: of ``token_softmax``, > 0.
        length_normalised: rank and weigh beams by alpha / number of tokens instead of alpha.
        merge_tokenisations: take beams that write one text in different tokens together first, see
            :mod:`raypipe.strategies.merging`.
        adaptive: of the strategy of that name.

    Raises:
        ConfigError: if tau or the temperature is not positive, or the steps are unknown.
    """

    tau: float = 1.0
    token_steps: TokenSteps = "all"
    token_temperature: float = 1.0
    length_normalised: bool = False
    merge_tokenisations: bool = False
    adaptive: AdaptiveSettings = field(default_factory=AdaptiveSettings)

    def __post_init__(self) -> None:
        if not (0.0 < self.tau < np.inf and 0.0 < self.token_temperature < np.inf):
            raise ConfigError(
                f"tau and token_temperature must be positive and finite, "
                f"got {self.tau} and {self.token_temperature}"
            )
        if self.token_steps not in ("all", "words"):
            raise ConfigError(f"token_steps is 'all' or 'words', got {self.token_steps!r}")
