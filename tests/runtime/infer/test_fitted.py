"""A run refuses strategies that are fitted to what a whole run predicts."""

from __future__ import annotations

import pytest
from in_process import InProcess

from raypipe.errors import ConfigError
from raypipe.runtime.infer.fitted import refuse_fitted


def test_a_fitted_strategy_is_refused_with_the_command_that_computes_it(
    in_process: InProcess,
) -> None:
    changes = {"strategies": ["greedy", "calibrate"], "calibrate": {"base": "w_bon"}}
    with pytest.raises(ConfigError) as refused:
        refuse_fitted(in_process.config(**changes))
    assert str(refused.value) == (
        "strategies calibrate: fitted to the predictions of a whole run, which a run does not have "
        "before its end. Run it with greedy, w_bon, then: raypipe reaggregate "
        f"{in_process.tables.uri} --strategies greedy,w_bon,calibrate"
    )
    with pytest.raises(ConfigError, match="strategies calibrate: fitted"):
        in_process.plan(**changes)
    assert not in_process.folder.joinpath("out").exists()


def test_other_strategies_are_not(in_process: InProcess) -> None:
    refuse_fitted(in_process.config(strategies=["greedy", "pool"]))
