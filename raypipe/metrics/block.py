"""One block of utterances on the way to sums: who is scored, compared and weighed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from raypipe.errors import AccountingError
from raypipe.metrics.baselines import BASELINES, PRIOR, REFERENCES, UNIFORM, uniform
from raypipe.metrics.costs import cost_units
from raypipe.metrics.rows import Group
from raypipe.metrics.scored import Scored
from raypipe.metrics.statistics import score
from raypipe.metrics.summary import CorpusFrame

Array = NDArray[np.float64]


def scored_strategies(group: Group, frame: CorpusFrame) -> dict[str, Scored]:
    """The strategies and the two constant predictors, which predict every labelled utterance."""
    utterances = group.utterances
    clash = set(group.predictions) & set(REFERENCES)
    if clash:
        raise AccountingError(f"strategies {sorted(clash)} carry the name of a reference")
    scored: dict[str, Scored] = {}
    known: dict[tuple[bytes, bytes, bytes], Scored] = {}
    for name, probs in group.predictions.items():
        present, label_set = group.present[name], group.label_sets.get(name)
        sets = b"" if label_set is None else label_set.tobytes()
        predicted = probs.tobytes(), present.tobytes(), sets
        if predicted not in known:
            known[predicted] = score(utterances, probs, present, label_set)
        scored[name] = known[predicted]
    scored[PRIOR] = score(utterances, frame.prior_for(utterances), utterances.labelled)
    constant = uniform(*utterances.truth.shape)
    scored[UNIFORM] = score(utterances, constant, utterances.labelled)
    return scored


def same_as(scored: Mapping[str, Scored]) -> dict[str, str]:
    """For every strategy the first one that predicts the very same on all these utterances."""
    first: dict[int, str] = {}
    return {name: first.setdefault(id(scored[name]), name) for name in scored}


def spent_by(costs: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, str]]:
    """Summands of the costs by strategy, and for every one the first that costs the very same."""
    first: dict[bytes, str] = {}
    same = {name: first.setdefault(values.tobytes(), name) for name, values in costs.items()}
    return {name: cost_units(costs[name]) for name in first.values()}, same


def is_compared(pair: tuple[str, str], compared: frozenset[tuple[str, str]] | None) -> bool:
    """Whether a pair gets a paired difference: those of ``compared``, and those from a constant."""
    baselines = sum(name in BASELINES for name in pair)
    return baselines == 1 or (baselines == 0 and (compared is None or pair in compared))
