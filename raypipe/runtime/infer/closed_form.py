"""Options of closed forms in a run: their order, and who needs them."""

from __future__ import annotations

from collections.abc import Sequence

from raypipe.config import PromptConfig, RunConfig
from raypipe.errors import ConfigError
from raypipe.prompts import template_source, uses
from raypipe.records import OptionOrder
from raypipe.runtime.infer.context import Prompt
from raypipe.strategies import Strategy, strategy_named


def check_options(config: RunConfig, prompts: Sequence[Prompt]) -> None:
    """Refuse strategies that read options where no prompt offers any.

    Raises:
        ConfigError: naming the strategy and the prompts.
    """
    if any(prompt.options is not None for prompt in prompts):
        return
    for name in config.strategies:
        strategy = strategy_named(name)
        if isinstance(strategy, Strategy) and strategy.reads_options:
            raise ConfigError(
                f"strategies {name}: it reads the options of a closed form, and no prompt has any "
                f"({', '.join(prompt.name for prompt in prompts)})"
            )


def option_order(prompt: PromptConfig) -> OptionOrder | None:
    """In which order a prompt offers its options; None for one without.

    Raises:
        ConfigError: for a seed of options that there are not.
    """
    if uses(template_source(prompt.template), "options"):
        return OptionOrder(prompt.option_seed)
    if prompt.option_seed is not None:
        raise ConfigError(f"option_seed: the prompt template {prompt.template} has no options")
    return None
