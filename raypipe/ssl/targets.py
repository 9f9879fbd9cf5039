"""What heads learn: the corpus's soft labels, or a table of others in their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from raypipe.errors import ConfigError
from raypipe.labels import LabelSet
from raypipe.records import Utterance


@dataclass(frozen=True, slots=True)
class LabelTable:
    """Distributions by utterance id that take the place of soft labels in training.

    Attributes:
        name: in the tables; empty for the corpus's own labels.
        distributions: each aligned with ``labels``; an utterance without one keeps its soft label.
        labels: the label set, which must be the corpus's.
        fingerprint: text that changes with the content.
    """

    name: str = ""
    distributions: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    labels: LabelSet | None = None
    fingerprint: str = ""


OWN_LABELS = LabelTable()
"""The corpus's soft labels."""


def training_targets(
    utterances: Sequence[Utterance], labels: LabelSet, table: LabelTable = OWN_LABELS
) -> NDArray[np.float64]:
    """Soft labels to learn, shape ``(utterances, labels)``; NaN rows where there are none.

    Args:
        utterances: in order.
        labels: of the corpus.
        table: distributions that go before the utterances' own.

    Raises:
        ConfigError: if the table is of other labels.
    """
    if table.labels is not None and table.labels != labels:
        raise ConfigError(
            f"label table {table.name} is of {', '.join(table.labels.names)}; the corpus has "
            f"{', '.join(labels.names)}"
        )
    targets = np.full((len(utterances), len(labels)), np.nan)
    for row, utterance in enumerate(utterances):
        target = table.distributions.get(utterance.utterance_id, utterance.soft_label)
        if target is not None:
            targets[row] = target
    return targets
