"""What heads learn: the corpus's soft labels, or a table of others in their place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from raypipe.errors import ConfigError
from raypipe.labels import LabelSet
from raypipe.records import OWN_LABELS, LabelTable, Utterance


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
