"""Records of label tables: distributions that take the place of a corpus's own soft labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from raypipe.labels import LabelSet


@dataclass(frozen=True, slots=True)
class LabelTable:
    """Distributions by utterance id that take the place of soft labels.

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
