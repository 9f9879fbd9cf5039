"""Strategies that a run cannot compute, as they are fitted to what a whole run predicts."""

from __future__ import annotations

from raypipe.config import RunConfig
from raypipe.errors import ConfigError
from raypipe.strategies import Fitted, strategy_named


def refuse_fitted(config: RunConfig) -> None:
    """Refuse strategies that are fitted, before any work starts.

    Raises:
        ConfigError: naming them, and the command that computes them from a finished run.
    """
    fitted = [name for name in config.strategies if isinstance(strategy_named(name), Fitted)]
    if not fitted:
        return
    others = [name for name in config.used_strategies if name not in fitted]
    raise ConfigError(
        f"strategies {', '.join(fitted)}: fitted to the predictions of a whole run, which a run "
        f"does not have before its end. Run it with {', '.join(others)}, then: raypipe reaggregate "
        f"{config.output} --strategies {','.join((*others, *fitted))}"
    )
