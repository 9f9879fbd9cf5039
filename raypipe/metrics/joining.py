"""Predictions of several runs, models and prompts, joined by utterance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from raypipe.errors import AccountingError
from raypipe.metrics.baselines import PRIOR, prior
from raypipe.metrics.comparison import Systems
from raypipe.metrics.rows import Group
from raypipe.metrics.utterances import Utterances

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_SAME = 1e-9
"""How far apart two soft labels of one utterance may be, by rounding."""


class SystemName(NamedTuple):
    """Where predictions come from."""

    run: str
    model: str
    prompt: str
    strategy: str


@dataclass
class _Answers:
    """The utterances of one run, model and prompt, and each strategy's predictions for some."""

    utterances: list[Utterances] = field(default_factory=list)
    predictions: dict[str, list[tuple[NDArray[np.uint64], Array]]] = field(default_factory=dict)


@dataclass
class Joining:
    """Collects groups of predictions of any number of runs, in any order and any cut.

    Attributes:
        strategies: names of all that were there, wanted or not.
    """

    strategies: set[str] = field(default_factory=set)
    _cells: dict[tuple[str, str, str], _Answers] = field(default_factory=dict)

    def add(self, run: str, groups: Iterable[Group], strategies: frozenset[str] | None) -> None:
        """Take in the predictions of some utterances of a run.

        Args:
            run: its name.
            groups: from :func:`raypipe.metrics.rows.read_groups`.
            strategies: names of those that are wanted; None for all.
        """
        for group in groups:
            cell = self._cells.setdefault((run, group.model, group.prompt), _Answers())
            cell.utterances.append(group.utterances)
            self.strategies |= group.predictions.keys()
            for strategy, probs in group.predictions.items():
                if strategies is None or strategy in strategies:
                    parts = cell.predictions.setdefault(strategy, [])
                    present = group.present[strategy]
                    parts.append((group.utterances.hashes[present], probs[present]))

    @property
    def names(self) -> list[SystemName]:
        """Every system, in order of appearance."""
        return [
            SystemName(*key, strategy)
            for key, cell in self._cells.items()
            for strategy in cell.predictions
        ]

    def systems(self, names: Mapping[SystemName, str]) -> Systems:
        """All systems over the utterances of all runs, with the predictor ``prior`` as the last.

        Args:
            names: of the systems, by where they come from; each name once.

        Raises:
            AccountingError: if two runs have two soft labels or pluralities for one utterance, or
                a run has an utterance twice.
        """
        utterances = self._utterances()
        predictions: dict[str, Array] = {}
        present: dict[str, Mask] = {}
        for key, cell in self._cells.items():
            for strategy, parts in cell.predictions.items():
                hashes = np.concatenate([hashes for hashes, _ in parts])
                if np.unique(hashes).size != hashes.size:
                    raise AccountingError(f"{key[0]}: an utterance has two rows of {strategy}")
                probs = np.full(utterances.truth.shape, np.nan)
                place = np.searchsorted(utterances.hashes, hashes)
                probs[place] = np.concatenate([probs for _, probs in parts])
                name = names[SystemName(*key, strategy)]
                predictions[name] = probs
                present[name] = np.zeros(utterances.hashes.size, dtype=np.bool_)
                present[name][place] = True
        constant = np.full(utterances.truth.shape, np.nan)
        rows = np.flatnonzero(utterances.labelled)
        speakers = [utterances.speakers[row] for row in rows]
        constant[rows] = prior(utterances.truth[rows], speakers)
        return Systems(
            utterances, predictions | {PRIOR: constant}, present | {PRIOR: utterances.labelled}
        )

    def _utterances(self) -> Utterances:
        """Every utterance once, by ascending hash."""
        parts = [part for cell in self._cells.values() for part in cell.utterances]
        every = Utterances.concatenated(parts)
        order = np.argsort(every.hashes, kind="stable")
        hashes = every.hashes[order]
        first = np.ones(order.size, dtype=np.bool_)
        first[1:] = hashes[1:] != hashes[:-1]
        again = np.flatnonzero(~first)
        left, right = order[again - 1], order[again]
        same = np.isclose(every.truth[left], every.truth[right], rtol=0, atol=_SAME, equal_nan=True)
        if not same.all() or (every.plurality[left] != every.plurality[right]).any():
            raise AccountingError(
                "the runs have two soft labels for one utterance: they cannot be compared. "
                "raypipe reaggregate --labels measures one of them against the other's labels."
            )
        return every.take(order[first])
