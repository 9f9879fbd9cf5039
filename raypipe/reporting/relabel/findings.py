"""What relabelling did to a corpus, counted from the table ``labels``."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raypipe.labels import LabelSet

EXAMPLES_EACH: Final = 3
_SEPARATORS = re.compile(r"[,;]|(?<=\w\w\w)/(?=\w\w\w)")  # not that of "n/a"
_NUMBERS = re.compile(r"\d+(?:\.\d+)?")
_DETAIL = re.compile(r":.*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class DescriptionEffect:
    """A typed description and where it moved the labels of the utterances that it stands for.

    Attributes:
        text: in lower case, one piece of what annotators separated by commas, semicolons or
            slashes between words.
        utterances: with an answer, that it was typed for.
        mean_shift: mean total variation between reference and answer.
        gains: mean change of every label's share, shape ``(labels,)``.
    """

    text: str
    utterances: int
    mean_shift: float
    gains: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RelabelExample:
    """An utterance before and after.

    Attributes:
        why: the rule that chose it.
        answered: None for one that was left at its reference.
        fault: the last reason why an answer could not be used; None without one.
    """

    why: str
    utterance_id: str
    words: tuple[str, ...]
    reference: tuple[float, ...]
    answered: tuple[float, ...] | None
    changed: bool
    flagged: bool
    shift: float | None
    reason: str | None
    attempts: int
    fault: str | None


@dataclass(frozen=True, slots=True)
class RelabelFindings:
    """What became of a relabelled corpus.

    Attributes:
        utterances: with a reference distribution.
        asked: of them, those with a typed description.
        adjusted: of those, the ones with a usable answer.
        left: the ones without.
        changed: the ones whose answer differs from the reference.
        flagged: the ones whose answer differs by more than the limit.
        asked_again: the ones that stood in more than one request.
        mean_shift: total variation over those with an answer; None without any.
        reason_words: number of words of every reason.
        mass_before: mean reference over all utterances, shape ``(labels,)``.
        mass_after: the same with the answers in place of the references.
        asked_before: mean reference over those with a description.
        asked_after: the same with the answers.
        faults: unusable answers by reason, without numbers and quotations; most first.
        descriptions: commonest first.
    """

    utterances: int
    asked: int
    adjusted: int
    left: int
    changed: int
    flagged: int
    asked_again: int
    mean_shift: float | None
    reason_words: tuple[int, ...]
    mass_before: NDArray[np.float64]
    mass_after: NDArray[np.float64]
    asked_before: NDArray[np.float64]
    asked_after: NDArray[np.float64]
    faults: Mapping[str, int]
    descriptions: tuple[DescriptionEffect, ...]
    examples: tuple[RelabelExample, ...]


@dataclass(frozen=True, slots=True)
class _Row:
    """Columns of ``labels`` that are looked at."""

    utterance_id: str
    words: list[str]
    reference: list[float]
    answered: list[float] | None
    status: str
    changed: bool | None
    shift: float | None
    flagged: bool | None
    reason: str | None
    reason_words: int | None
    attempts: int
    faults: list[str]

    @property
    def after(self) -> list[float]:
        """What stands in the reference's place, before any smoothing."""
        return self.answered if self.changed and self.answered is not None else self.reference

    @property
    def moved(self) -> float:
        """Total variation from the reference; 0 without an answer."""
        return self.shift or 0.0


def relabel_findings(table: pa.Table, labels: LabelSet) -> RelabelFindings:
    """Findings from the rows of ``labels``, without the smoothing of ``adjusted``.

    Args:
        table: with at least one row.
        labels: the label set.
    """
    columns = [field.name for field in fields(_Row)]
    rows = [_Row(**row) for row in table.select(columns).to_pylist()]
    before = np.array([row.reference for row in rows]).reshape(-1, len(labels))
    after = np.array([row.after for row in rows]).reshape(-1, len(labels))
    is_asked = np.array([row.status != "not_asked" for row in rows])
    asked = [row for row in rows if row.status != "not_asked"]
    answered = [row for row in asked if row.status == "adjusted"]
    faults = Counter(_kind(fault) for row in asked for fault in row.faults)
    return RelabelFindings(
        utterances=len(rows),
        asked=len(asked),
        adjusted=len(answered),
        left=len(asked) - len(answered),
        changed=sum(bool(row.changed) for row in answered),
        flagged=sum(bool(row.flagged) for row in answered),
        asked_again=sum(row.attempts > 1 for row in asked),
        mean_shift=float(np.mean([row.moved for row in answered])) if answered else None,
        reason_words=tuple(row.reason_words for row in answered if row.reason_words is not None),
        mass_before=before.mean(axis=0),
        mass_after=after.mean(axis=0),
        asked_before=_mean(before[is_asked], len(labels)),
        asked_after=_mean(after[is_asked], len(labels)),
        faults=dict(faults.most_common()),
        descriptions=_effects(answered),
        examples=_examples(asked),
    )


def _mean(rows: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    return np.asarray(rows.mean(axis=0) if len(rows) else np.zeros(width))


def _kind(fault: str) -> str:
    """A fault without what is different in every one of them."""
    return _NUMBERS.sub("…", _DETAIL.sub("", fault)).strip()


def _effects(answered: Sequence[_Row]) -> tuple[DescriptionEffect, ...]:
    changes: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    for row in answered:
        assert row.answered is not None
        change = np.subtract(row.answered, row.reference)
        for text in sorted({piece for words in row.words for piece in _pieces(words)}):
            changes[text].append(change)
    effects = [
        DescriptionEffect(
            text,
            len(moved),
            float(np.mean([np.abs(change).sum() / 2 for change in moved])),
            np.mean(moved, axis=0),
        )
        for text, moved in changes.items()
    ]
    return tuple(sorted(effects, key=lambda effect: (-effect.utterances, effect.text)))


def _pieces(words: str) -> list[str]:
    texts = (" ".join(piece.split()).lower() for piece in _SEPARATORS.split(words))
    return [text for text in texts if text]


def _examples(asked: Sequence[_Row]) -> tuple[RelabelExample, ...]:
    """The largest, the median and no changes, and some that were left; of equals the first id."""
    answered = sorted(
        (row for row in asked if row.status == "adjusted"),
        key=lambda row: (-row.moved, row.utterance_id),
    )
    changed = [row for row in answered if row.changed]
    middle = max(0, len(changed) // 2 - EXAMPLES_EACH // 2)
    chosen = {
        "Largest change": changed[:EXAMPLES_EACH],
        "Median change": changed[middle : middle + EXAMPLES_EACH],
        "Not changed": [row for row in answered if not row.changed][-EXAMPLES_EACH:],
        "Left at its reference": sorted(
            (row for row in asked if row.status == "left"),
            key=lambda row: row.utterance_id,
        )[:EXAMPLES_EACH],
    }
    seen: set[str] = set()
    examples = []
    for why, rows in chosen.items():
        for row in rows:
            if row.utterance_id not in seen:
                seen.add(row.utterance_id)
                examples.append(_example(why, row))
    return tuple(examples)


def _example(why: str, row: _Row) -> RelabelExample:
    return RelabelExample(
        why,
        row.utterance_id,
        tuple(row.words),
        tuple(row.reference),
        None if row.answered is None else tuple(row.answered),
        bool(row.changed),
        bool(row.flagged),
        row.shift,
        row.reason,
        row.attempts,
        row.faults[-1] if row.faults else None,
    )
