"""What the bootstrap's replicates draw, and which intervals that leaves without a ground.

Utterances of one speaker go together: a speaker may be easy or hard to understand. Replicates that
draw utterances tell how well a value is known for these speakers; those that draw whole speakers,
how well for speakers to come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from raypipe.metrics.bootstrap import FEW_SPEAKERS
from raypipe.metrics.columns import clusters
from raypipe.metrics.metric_rows import MetricRow
from raypipe.metrics.registry import ANALYTIC, OF_SPEAKERS_TO_COME
from raypipe.metrics.utterances import Utterances
from raypipe.records import Drawn

Hashes = NDArray[np.uint64]

NOT_INDEPENDENT: Final = "no interval: utterances of a speaker are not independent"
_DRAW_SPEAKERS: Final = (
    "no interval: utterances of a speaker go together; metrics.draw: speakers gives one"
)


@dataclass(frozen=True)
class Units:
    """What can be drawn of a slice.

    Attributes:
        speakers: hash of each known speaker, ascending, shape ``(speakers,)``.
        alone: utterances without a known speaker.
    """

    speakers: Hashes
    alone: int

    @classmethod
    def of(cls, utterances: Utterances, rows: NDArray[np.int64]) -> Units:
        """Those of the labelled utterances among some rows."""
        speakers = utterances.speaker_hashes[rows[utterances.labelled[rows]]]
        return cls(np.unique(speakers[speakers != 0]), int((speakers == 0).sum()))

    def merge(self, other: Units | None) -> Units:
        """Those of both, which share no utterance; None for nothing."""
        if other is None:
            return self
        return Units(np.union1d(self.speakers, other.speakers), self.alone + other.alone)

    def __len__(self) -> int:
        """How many there are."""
        return self.speakers.size + self.alone


def drawn_hashes(utterances: Utterances, drawn: Drawn) -> Hashes:
    """What replicates weigh for each utterance, shape ``(utterances,)``."""
    if drawn == "utterances":
        return utterances.hashes
    return clusters(utterances.hashes, utterances.speaker_hashes)


def with_ground(
    rows: Sequence[MetricRow], units: Units | None, *, in_groups: bool
) -> list[MetricRow]:
    """Rows of a slice, without the intervals that would not hold.

    Args:
        rows: of one model, prompt, strategy and slice.
        units: of the slice, where replicates drew speakers; None where they drew utterances.
        in_groups: whether a speaker of the corpus has several utterances.
    """
    if not in_groups:
        return [*rows]
    few = None
    if units is None:
        reasons = dict.fromkeys(OF_SPEAKERS_TO_COME, _DRAW_SPEAKERS)
    else:
        reasons = dict.fromkeys(ANALYTIC, NOT_INDEPENDENT)
        if len(units) < FEW_SPEAKERS:
            few = f"no interval: {len(units)} speakers, {FEW_SPEAKERS} are needed"
    told = [few or reasons.get(row.metric) for row in rows]
    return [
        row if reason is None else without_interval(row, reason)
        for row, reason in zip(rows, told, strict=True)
    ]


def without_interval(row: MetricRow, reason: str) -> MetricRow:
    """A row without its interval, and why; one that has none keeps what its note says."""
    if row.ci_low is None:
        return row
    told = reason if row.note is None else row.note
    return replace(row, ci_low=None, ci_high=None, p_value=None, note=told)
