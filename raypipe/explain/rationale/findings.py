"""What came of a rationale job, counted from its table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

COUNTS: Final = "counts.json"
"""The findings of a job as JSON: by reason, by label, what was left out."""

EXAMPLES_EACH: Final = 3


@dataclass(frozen=True, slots=True)
class LabelRationales:
    """How a teacher did on the utterances of one gold label.

    Attributes:
        utterances: asked about.
        accepted: of them, those with a rationale that keeps the rules.
        first_try: of those, the ones that needed one request.
        refused: drafts that broke a rule.
        commonest: the rule broken most; None if none was.
        mean_words: of the rationales; None without any.
    """

    label: str
    utterances: int
    accepted: int
    first_try: int
    refused: int
    commonest: str | None
    mean_words: float | None


@dataclass(frozen=True, slots=True)
class RationaleExample:
    """An utterance with what its teacher wrote.

    Attributes:
        why: the rule that chose it.
        text: rationale, or the draft that was refused last.
        note: tries and broken rules, in words.
    """

    why: str
    utterance_id: str
    label: str
    transcript: str
    text: str
    note: str


@dataclass(frozen=True, slots=True)
class RationaleFindings:
    """What came of a rationale job.

    Attributes:
        utterances: that the teacher answered about.
        accepted: of them, those with a rationale.
        tries: requests about them.
        rejections: refused drafts by the name of the rule, most first.
        labels: by gold label, in alphabetical order.
        left_out: utterances that nothing was asked about, by reason, most first.
    """

    utterances: int
    accepted: int
    tries: int
    rejections: Mapping[str, int]
    labels: tuple[LabelRationales, ...]
    left_out: Mapping[str, int]
    examples: tuple[RationaleExample, ...]


@dataclass(frozen=True, slots=True)
class _RationaleRow:
    utterance_id: str
    label: str
    transcript: str | None
    rationale: str | None
    tries: int
    rejections: list[str]
    breaches: list[str]
    drafts: list[str]


_COLUMNS = (
    *("utterance_id", "label", "transcript", "rationale", "tries"),
    *("rejections", "breaches", "drafts"),
)


def rationale_findings(table: pa.Table, left_out: Mapping[str, int]) -> RationaleFindings:
    """Findings from the rows of a table of rationales.

    Args:
        table: of all shards.
        left_out: utterances that nothing was asked about, by reason.
    """
    rows = [_RationaleRow(**row) for row in table.select(list(_COLUMNS)).to_pylist()]
    rejections = Counter(rule for row in rows for rule in row.rejections)
    labels = sorted({row.label for row in rows})
    return RationaleFindings(
        utterances=len(rows),
        accepted=sum(row.rationale is not None for row in rows),
        tries=sum(row.tries for row in rows),
        rejections=_most_first(rejections),
        labels=tuple(
            _of_label(label, [row for row in rows if row.label == label]) for label in labels
        ),
        left_out=_most_first(left_out),
        examples=_examples(rows),
    )


def _most_first(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))


def _of_label(label: str, rows: Sequence[_RationaleRow]) -> LabelRationales:
    accepted = [row for row in rows if row.rationale is not None]
    rules = _most_first(Counter(rule for row in rows for rule in row.rejections))
    words = [len((row.rationale or "").split()) for row in accepted]
    return LabelRationales(
        label,
        len(rows),
        len(accepted),
        sum(row.tries == 1 for row in accepted),
        sum(rules.values()),
        next(iter(rules), None),
        sum(words) / len(words) if words else None,
    )


def _examples(rows: Sequence[_RationaleRow]) -> tuple[RationaleExample, ...]:
    """Some of each kind, by the smallest ids; a label stands once in each where that can be."""
    ordered = sorted(rows, key=lambda row: row.utterance_id)
    kinds = {
        "Accepted at once": [
            row for row in ordered if row.rationale is not None and row.tries == 1
        ],
        "Accepted after a refusal": [
            row for row in ordered if row.rationale is not None and row.tries > 1
        ],
        "Given up": [row for row in ordered if row.rationale is None],
    }
    return tuple(_example(why, row) for why, kind in kinds.items() for row in _spread(kind))


def _spread(rows: Sequence[_RationaleRow]) -> list[_RationaleRow]:
    first_of_label = {row.label: row for row in reversed(rows)}
    spread = sorted(first_of_label.values(), key=lambda row: row.utterance_id)
    spread += [row for row in rows if row is not first_of_label[row.label]]
    return spread[:EXAMPLES_EACH]


def _example(why: str, row: _RationaleRow) -> RationaleExample:
    broken = [
        f"{rule} ({breach})" for rule, breach in zip(row.rejections, row.breaches, strict=True)
    ]
    note = "1 try" if row.tries == 1 else f"{row.tries} tries"
    return RationaleExample(
        why,
        row.utterance_id,
        row.label,
        row.transcript or "",
        row.rationale if row.rationale is not None else (row.drafts or [""])[-1],
        f"{note}; refused: {', '.join(broken)}" if broken else note,
    )
