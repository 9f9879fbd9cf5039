"""Answers of a transcript, a label and a reason, each in a tag (explainable_speechlm, Eq. 1).

<asr>transcript</asr><answer>I think the emotion is sad</answer><reason>why</reason>
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

PARTS = ("asr", "answer", "reason")
"""Tags of an answer, in their order."""

_TAG = re.compile(rf"<\s?(?P<slash>/?)\s?(?P<part>{'|'.join(PARTS)})\s?>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class AnswerParts:
    """An answer's parts.

    Attributes:
        transcript: what was said, as the model heard it; None where there is no valid part.
        answer: the words that name the emotion; None likewise.
        reason: why; None likewise.
        faults: by part, what is wrong with it: ``missing``, ``empty``, ``unclosed``, ``unopened``
            or ``twice``. Empty for an answer in this form, and for one without any tag, which is
            another form.
    """

    transcript: str | None
    answer: str | None
    reason: str | None
    faults: Mapping[str, str]

    @property
    def tagged(self) -> bool:
        """Whether the answer has any of the tags."""
        parts = (self.transcript, self.answer, self.reason)
        return bool(self.faults) or any(part is not None for part in parts)


def read_parts(text: str, *, reason: bool = True) -> AnswerParts:
    """The parts of an answer; one that is not clearly there is none, and named.

    Args:
        text: what the model wrote.
        reason: whether a reason was asked for: it is not missed otherwise.

    Example:
        >>> parts = read_parts("<asr>Oh no.</asr><answer>I think the emotion is sad</answer>")
        >>> parts.transcript, parts.answer, dict(parts.faults)
        ('Oh no.', 'I think the emotion is sad', {'reason': 'missing'})
    """
    tags = list(_TAG.finditer(text))
    if not tags:
        return AnswerParts(None, None, None, MappingProxyType({}))
    read: dict[str, list[str]] = {part: [] for part in PARTS}
    faults: dict[str, str] = {}
    for part, fault, content in _spans(text, tags):
        if fault is None:
            read[part].append(content)
        else:
            faults[part] = fault
    contents: dict[str, str | None] = dict.fromkeys(PARTS)
    for part in PARTS:
        if part in faults:
            continue
        distinct = {content.strip() for content in read[part]}
        if not distinct:
            if part != "reason" or reason:
                faults[part] = "missing"
        elif len(distinct) > 1:
            faults[part] = "twice"
        elif distinct == {""}:
            faults[part] = "empty"
        else:
            contents[part] = distinct.pop()
    ordered = {part: faults[part] for part in PARTS if part in faults}
    return AnswerParts(
        contents["asr"], contents["answer"], contents["reason"], MappingProxyType(ordered)
    )


def _spans(text: str, tags: list[re.Match[str]]) -> Iterator[tuple[str, str | None, str]]:
    """Every part that is opened or closed: its name, what is wrong with it, its content."""
    opened: re.Match[str] | None = None
    for tag in tags:
        part, closes = tag["part"].lower(), bool(tag["slash"])
        if not closes:
            if opened is not None:
                yield opened["part"].lower(), "unclosed", ""
            opened = tag
        elif opened is None or opened["part"].lower() != part:
            yield part, "unopened", ""
        else:
            yield part, None, text[opened.end() : tag.start()]
            opened = None
    if opened is not None:
        yield opened["part"].lower(), "unclosed", ""
