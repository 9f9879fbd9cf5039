"""Which utterances the parameters of a fitted strategy are fitted to: never those it predicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from raypipe.metrics.bootstrap import id_hashes
from raypipe.strategies.setting import Setting

SPEAKERS = "speakers"
"""``fit_on`` of parameters that are fitted to other speakers than those they are applied to."""

_SPLIT = "split:"


def _checked(value: str) -> str:
    if value != SPEAKERS and not value.removeprefix(_SPLIT).strip():
        raise ValueError(f"{_SPLIT} is to be followed by the name of a split")
    if value != SPEAKERS and not value.startswith(_SPLIT):
        raise ValueError(f"it is {SPEAKERS} or {_SPLIT}NAME")
    return value


FIT_ON: Setting[str] = Setting(
    name="fit_on",
    annotation=Annotated[str, AfterValidator(_checked)],
    default=SPEAKERS,
    summary="utterances that parameters are fitted to: speakers (those of all other folds of "
    "speakers), or split:NAME (that split, which then gets no prediction)",
    examples=(SPEAKERS, "split:dev"),
    section="fit",
)
FIT_FOLDS: Setting[int] = Setting(
    name="fit_folds",
    annotation=Annotated[int, Field(ge=2)],
    default=10,
    summary="number of folds of speakers, at most; not used with a split",
    examples=(2, 5),
    section="fit",
)


def split_of(fit_on: str) -> str | None:
    """Name of the split that a value of :data:`FIT_ON` says; None for folds of speakers.

    Example:
        >>> split_of("split:dev"), split_of("speakers")
        ('dev', None)
    """
    return None if fit_on == SPEAKERS else fit_on.removeprefix(_SPLIT)


def speaker_folds(speakers: Iterable[str], count: int) -> Mapping[str, int]:
    """Fold of every speaker: equally many speakers in each, to within one.

    Speakers are dealt out in the order of their hashes, so that neither the order of utterances
    nor that of names plays a part.

    Args:
        speakers: names, in any order, any number of times.
        count: of folds; with fewer speakers each has a fold of their own.

    Example:
        >>> sorted(speaker_folds(["ann", "ben", "cem", "ann"], 10).values())
        [0, 1, 2]
    """
    names = sorted(set(speakers))
    dealt = sorted(zip(id_hashes(names).tolist(), names, strict=True))
    return {name: place % count for place, (_, name) in enumerate(dealt)}
