"""Account of what a run has sent and spent, kept beside its tables, and its budget."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import asdict, fields

from raypipe.config.api import BudgetConfig, PricesConfig
from raypipe.engines.engine import Folder, Usage
from raypipe.engines.openai.replies import Tokens
from raypipe.errors import StoppedError

ACCOUNTS = "api_usage"
"""Folder of a run's accounts of requests and costs in its output."""

_MILLION = 1e6
_WRITE_EVERY = 25


def total_usage(accounts: Iterable[Usage]) -> Usage:
    """The sum of several accounts."""
    listed = list(accounts)
    return Usage(
        **{
            field.name: sum(getattr(usage, field.name) for usage in listed)
            for field in fields(Usage)
        }
    )


def read_usage(ledger: Folder) -> Usage:
    """Usage of all attempts of a run together."""
    return total_usage(Usage(**json.loads(ledger.read(name))) for name in ledger.list(".json"))


def cost_of(tokens: Tokens, prices: PricesConfig) -> float:
    """Price of one answer, in the currency of the prices."""
    audio_price = prices.input if prices.audio is None else prices.audio
    if tokens.audio is None:  # not told apart: rather too much than too little
        asked = tokens.prompt * max(prices.input, audio_price)
    else:
        asked = (tokens.prompt - tokens.audio) * prices.input + tokens.audio * audio_price
    return (asked + tokens.output * prices.output) / _MILLION


class SpendingAccount:
    """One engine's spending, on top of what earlier attempts of the run spent.

    Args:
        ledger: where accounts are kept.
        budget: None for no limit.
        prices: None if cost is not counted.
    """

    def __init__(
        self, ledger: Folder, budget: BudgetConfig | None, prices: PricesConfig | None
    ) -> None:
        self._ledger, self._prices = ledger, prices
        self._budget = budget or BudgetConfig()
        self._name = f"{uuid.uuid4().hex}.json"
        self._before = read_usage(ledger) if budget else Usage()
        self._pending, self._dearest = 0.0, 0.0
        self.spent = Usage()

    def open_request(self, output_tokens: int) -> float:
        """Book a request before it is sent.

        Args:
            output_tokens: most that it can answer with, over all its candidates.

        Returns:
            What was set aside for it, to be given back to :meth:`close_request`.

        Raises:
            StoppedError: if it does not fit into the budget any more.
        """
        expected = 0.0
        if self._prices is not None:
            worst_answer = output_tokens * self._prices.output / _MILLION
            expected = max(worst_answer, self._dearest)
        self._check(expected)
        self.spent.requests += 1
        self._pending += expected
        return expected

    def close_request(self, expected: float, tokens: Tokens | None, *, answered: bool) -> None:
        """Book what a request took; what was set aside if the endpoint does not say."""
        self._pending -= expected
        if not answered:
            return
        if tokens is None:
            self.spent.cost += expected
            return
        self.spent.prompt_tokens += tokens.prompt
        self.spent.audio_tokens += tokens.audio or 0
        self.spent.output_tokens += tokens.output
        if self._prices is not None:
            cost = cost_of(tokens, self._prices)
            self._dearest = max(self._dearest, cost)
            self.spent.cost += cost

    def is_due(self) -> bool:
        """Whether an account is due to be written, so that a kill forgets little."""
        return self.spent.requests % _WRITE_EVERY == 0

    def write(self) -> None:
        """Keep the account."""
        self._ledger.write(self._name, json.dumps(asdict(self.spent)).encode())

    def _check(self, expected: float) -> None:
        sent = self._before.requests + self.spent.requests
        if self._budget.requests is not None and sent >= self._budget.requests:
            raise StoppedError(
                f"the budget of {self._budget.requests} requests is used up; what is done is "
                "committed. The same command continues with a larger model.api.budget.requests"
            )
        cost = self._before.cost + self.spent.cost
        limit = self._budget.cost
        if limit is not None and cost + self._pending + expected > limit:
            raise StoppedError(
                f"the budget of {limit:g} is used up: {cost:.4f} is spent and the next request "
                f"may cost {expected:.4f}; what is done is committed. The same command continues "
                "with a larger model.api.budget.cost"
            )
