"""One strategy's predictions beside the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from raypipe.metrics.utterances import Utterances

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Scored:
    """One strategy's predictions beside the truth, row by row.

    Attributes:
        utterances: the truth.
        probs: predicted distributions, shape ``(utterances, labels)``; NaN rows where there is
            none.
        present: utterances the strategy has a row for, shape ``(utterances,)``.
        given: utterances the strategy has a valid prediction for, labelled or not.
        columns: per-utterance metrics by name, shape ``(utterances,)`` each; NaN where not valid
            or undefined.
        filled: per-utterance metrics of the uniform distribution by name, on the invalid rows;
            NaN elsewhere and where undefined.
        choice: share of the credit that each label gets as the dominant one, shape
            ``(utterances, labels)``: one 1, or equal parts where several labels have the largest
            share; 0 if not valid.
        confidence: share of the dominant label, shape ``(utterances,)``; NaN where not valid.
        label_set: whether a label is in the set that the strategy states, shape
            ``(utterances, labels)``; no label where it states none, None where it never does.
    """

    utterances: Utterances
    probs: Array
    present: Mask
    given: Mask
    columns: Mapping[str, Array]
    filled: Mapping[str, Array]
    choice: Array
    confidence: Array
    label_set: Mask | None = None

    @cached_property
    def valid(self) -> Mask:
        """Labelled utterances with a valid prediction, shape ``(utterances,)``."""
        return self.given & self.utterances.labelled

    @cached_property
    def invalid(self) -> Mask:
        """Labelled utterances whose prediction is invalid, shape ``(utterances,)``."""
        return self.present & self.utterances.labelled & ~self.given

    @cached_property
    def scorable(self) -> Mask:
        """Valid utterances with a single most-voted label, shape ``(utterances,)``."""
        return self.valid & (self.utterances.plurality >= 0)

    @cached_property
    def tied(self) -> Mask:
        """Valid predictions in which several labels have the largest share."""
        return np.asarray(self.valid & (self.choice.max(axis=1) < 1.0))

    @cached_property
    def hit(self) -> Array:
        """1 where the dominant label is the plurality, else 0, shape ``(utterances,)``.

        1/T where T labels have the largest share and one of them is the plurality; 0 where not
        scorable.
        """
        return np.asarray((self.choice * self.utterances.plurality_matrix).sum(axis=1))
