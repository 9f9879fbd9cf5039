"""An answer while it is read: its text, its labels, and notes about what was taken for what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from raypipe.labels import LabelSet
from raypipe.parsing.amounts import Amount, amounts_in, merged
from raypipe.parsing.mentions import Mention, mentions_in
from raypipe.parsing.pairing import Pairing, read_pairs
from raypipe.parsing.parts import TextPart
from raypipe.parsing.settling import Claim
from raypipe.records import Parsed


@dataclass(frozen=True, slots=True)
class AnswerContext:
    """An answer, or a field of one, while it is read.

    Attributes:
        text: of plain characters.
        max_dropped_share: largest share of unknown labels that may be dropped.
        commas: whether the answer writes decimal commas.
        read_field: reads the text of a field like an answer of its own.
        parts: what stretches of the text were taken for; grows while it is read.
    """

    text: str
    labels: LabelSet
    max_dropped_share: float
    commas: bool
    read_field: Callable[[str], Parsed]
    parts: list[TextPart] = field(default_factory=list)

    def amounts_in(self, text: str) -> list[Amount]:
        """The numbers of a stretch of the answer, those that only repeat another taken together."""
        return list(merged(amounts_in(text, commas=self.commas), text))

    def labels_in(self, text: str) -> set[int]:
        """Labels that a stretch of the answer names, in whatever manner."""
        mentions = mentions_in(text, self.labels)
        return {mention.label for mention in mentions if mention.label is not None}

    def pairs_in(self, text: str) -> Pairing | None:
        """Labels beside numbers in a stretch of the answer; None if there are none."""
        mentions = mentions_in(text, self.labels)
        if not mentions:
            return None
        amounts = self.amounts_in(text)
        return read_pairs(text, mentions, amounts, self.labels, self.max_dropped_share)

    def without_notes(self) -> AnswerContext:
        """The same answer for a second look, which is not noted."""
        return replace(self, parts=[])

    def note_shares(self, claim: Claim) -> None:
        """Note the labels and numbers of a claim."""
        for share in claim.shares:
            self.parts.append(TextPart(*share.place, self._label_name(share.label)))
            self.parts.append(TextPart(share.amount.start, share.amount.end, "share"))

    def note(self, mentions: Sequence[Mention], amounts: Sequence[Amount], offset: int) -> None:
        """Note the labels and numbers of running text."""
        for mention in mentions:
            what = self._label_name(mention.label) + _MANNERS[mention.manner]
            self.parts.append(TextPart(mention.start + offset, mention.end + offset, what))
        for amount in amounts:
            place = amount.start + offset, amount.end + offset
            self.parts.append(TextPart(*place, _ROLES[amount.role]))

    def _label_name(self, label: int | None) -> str:
        return "unknown label" if label is None else f"label {self.labels.names[label]}"


_ROLES = {"share": "share", "weak": "confidence", "other": "other number"}
_MANNERS = {
    "field": "",
    "stated": "",
    "denied": ", denied",
    "option": ", an option",
    "unclear": ", unclear",
    "reason": ", in a reason",
}
