from __future__ import annotations

import pytest

from raypipe.config import PromptConfig, parse_config
from raypipe.errors import ConfigError
from raypipe.records import OptionOrder
from raypipe.runtime.infer.closed_form import check_options, option_order
from raypipe.runtime.infer.context import Prompt

RUN = {"input": {"shards": "s"}, "output": "o"}


def test_the_order_is_the_prompts() -> None:
    assert option_order(PromptConfig(template="closed_form")) == OptionOrder(None)
    assert option_order(PromptConfig(template="closed_form", option_seed=3)) == OptionOrder(3)
    assert option_order(PromptConfig(template="open_form")) is None
    with pytest.raises(ConfigError, match="open_form has no options"):
        option_order(PromptConfig(template="open_form", option_seed=3))


def test_a_strategy_that_reads_options_needs_a_prompt_that_has_some() -> None:
    config = parse_config({**RUN, "strategies": ["open", "closed"]})
    with pytest.raises(ConfigError, match=r"strategies closed.*no prompt has any \(open_form\)"):
        check_options(config, [Prompt("open_form", "?")])
    closed = Prompt("closed_form", "?", options=OptionOrder())
    check_options(config, [Prompt("open_form", "?"), closed])


def test_options_are_part_of_a_prompts_identity_where_it_has_some() -> None:
    assert "options" not in Prompt("p", "?").identity()
    one, two = (Prompt("p", "?", options=OptionOrder(seed)) for seed in (1, 2))
    assert one.identity() != two.identity()
