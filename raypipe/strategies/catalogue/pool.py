"""Strategy ``pool``: the mean of several strategies' distributions.

They weigh the same and are alternatives, each a guess at the same distribution: what they disagree
about is epistemic. Without an uncertainty of every one of them (``token`` has none) there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

from pydantic import AfterValidator

from raypipe.records import Prediction
from raypipe.strategies.mean import mean_of
from raypipe.strategies.setting import Setting, Settings
from raypipe.strategies.strategy import Composite, part_named


def _pooled(value: str) -> str:
    names = value.split("+")
    for name in names:
        part_named(name, "pool is of")
    if len(set(names)) != len(names) or len(names) < 2:
        raise ValueError("pool is of two strategies or more, each once, joined by +")
    return value


OF: Setting[str] = Setting(
    name="of",
    annotation=Annotated[str, AfterValidator(_pooled)],
    default="greedy+token_softmax",
    summary="strategies whose distributions are averaged, joined by +",
    examples=("greedy+token_softmax", "greedy+w_bon"),
    section="pool",
)


def _parts(settings: Settings) -> tuple[str, ...]:
    return tuple(settings[OF].split("+"))


def _predict(
    settings: Settings, predict: Callable[[str], Prediction]
) -> tuple[Prediction, tuple[str, ...]]:
    parts = _parts(settings)
    predictions = [replace(predict(part), strategy="") for part in parts]
    invalid = [prediction for prediction in predictions if not prediction.valid]
    if invalid:
        # The mean of the others would be another strategy's, under this one's name.
        return invalid[0], parts
    return mean_of(predictions, [1.0] * len(parts), "alternatives"), parts


STRATEGY = Composite(
    name="pool",
    summary="the mean of several strategies' distributions",
    source="",
    rank=95,
    parts=_parts,
    predict=_predict,
    settings=(OF,),
)
