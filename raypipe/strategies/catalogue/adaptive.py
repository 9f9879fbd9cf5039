"""Strategy ``adaptive``: a cheap strategy, and an expensive one where that is ambiguous."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

from pydantic import AfterValidator, Field

from raypipe.records import Prediction
from raypipe.strategies.setting import Setting, Settings
from raypipe.strategies.strategy import Composite, part_named


def _plain(name: str) -> str:
    return part_named(name, "adaptive chooses from").name


CHEAP: Setting[str] = Setting(
    name="cheap",
    annotation=Annotated[str, AfterValidator(_plain)],
    default="greedy",
    summary="strategy whose prediction adaptive looks at first",
    examples=("greedy", "bon"),
    section="adaptive",
)
EXPENSIVE: Setting[str] = Setting(
    name="expensive",
    annotation=Annotated[str, AfterValidator(_plain)],
    default="w_bon",
    summary="strategy that answers where that prediction is ambiguous or invalid",
    examples=("w_bon", "cot"),
    section="adaptive",
)
THRESHOLD: Setting[float] = Setting(
    name="threshold",
    annotation=Annotated[float, Field(ge=0, allow_inf_nan=False)],
    default=1.0,
    summary="entropy of the cheap prediction, in bits, above which it is ambiguous",
    examples=(0.1, 2.0),
    section="adaptive",
)


def _parts(settings: Settings) -> tuple[str, ...]:
    return settings[CHEAP], settings[EXPENSIVE]


def _escalates(settings: Settings, cheap: Prediction) -> bool:
    return cheap.entropy is None or cheap.entropy > settings[THRESHOLD]


def _predict(
    settings: Settings, predict: Callable[[str], Prediction]
) -> tuple[Prediction, tuple[str, ...]]:
    cheap, expensive = _parts(settings)
    looked_at = predict(cheap)
    if not _escalates(settings, looked_at):
        return replace(looked_at, escalated=False), (cheap,)
    return replace(predict(expensive), escalated=True), (cheap, expensive)


def _refusal(settings: Settings) -> str | None:
    if settings[CHEAP] != settings[EXPENSIVE]:
        return None
    return f"needs two strategies; cheap and expensive are both {settings[CHEAP]}"


def _when(settings: Settings) -> str:
    return f"{settings[CHEAP]} was above {settings[THRESHOLD]:g} bits or invalid"


def _covers(own: Settings, other: Settings) -> bool:
    from raypipe.strategies.registry import strategy_named

    read = strategy_named(own[CHEAP]).settings
    return (
        own[CHEAP] == other[CHEAP]
        and own[THRESHOLD] >= other[THRESHOLD]
        and all(own[known] == other[known] for known in read if known.changes_probs)
    )


STRATEGY = Composite(
    name="adaptive",
    summary="a cheap strategy's, and an expensive one's where the cheap one is ambiguous (its "
    "entropy above a threshold) or invalid",
    source="",
    rank=90,
    parts=_parts,
    is_needed=_escalates,
    predict=_predict,
    settings=(CHEAP, EXPENSIVE, THRESHOLD),
    refusal=_refusal,
    when=_when,
    covers=_covers,
)
