"""Records of label tables: distributions that take the place of a corpus's own soft labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from raypipe.labels import LabelSet
from raypipe.records.corpus import Utterance

# Equal shares may differ by a few roundings after a blend or a smoothing.
_TIE = 1e-9


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

    def relabelled(self, utterance: Utterance) -> Utterance:
        """The utterance under these labels; itself where the table does not name it."""
        shares = self.distributions.get(utterance.utterance_id)
        if shares is None:
            return utterance
        return replace(utterance, soft_label=shares, plurality=self.plurality(shares))

    def plurality(self, shares: Sequence[float]) -> str | None:
        """The label with the largest share; None for a tie.

        Example:
            >>> table = LabelTable(labels=LabelSet(("anger", "fear", "neutral")))
            >>> table.plurality((0.5, 0.3, 0.2)), table.plurality((0.4, 0.4, 0.2))
            ('anger', None)
        """
        assert self.labels is not None  # a table with distributions names their labels
        largest = max(shares)
        names = [
            name
            for name, share in zip(self.labels.names, shares, strict=True)
            if share > largest - _TIE
        ]
        return names[0] if len(names) == 1 else None


OWN_LABELS = LabelTable()
"""The corpus's soft labels."""
