"""Answers about several subjects: speakers, parts of the recording, raters, each with its own."""

from __future__ import annotations

import itertools
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from raypipe.labels import LabelSet
from raypipe.parsing.amounts import Amount
from raypipe.parsing.mentions import Mention
from raypipe.parsing.settling import distribution
from raypipe.records import Parsed

_RATERS: Final = "listener|rater|annotator|judge|coder|voter|participant|evaluator|labell?er"
_NUMBERED: Final = (
    "speaker|person|voice|segment|part|clip|turn|section|utterance|sentence|phase|window|chunk|step"
    f"|pass|round|half|third|quarter|channel|model|system|{_RATERS}"
)
_PERSONS: Final = (
    "man|woman|male|female|boy|girl|child|mother|father|caller|agent|customer|client|patient|doctor"
    "|interviewer|interviewee|host|guest|husband|wife|son|daughter"
)
_ORDINALS: Final = "first|second|third|fourth|last|latter|other|final|middle"
_SECONDS: Final = r"\d+(?:[:.]\d+)?"
_HEAD: Final = re.compile(
    r"(?:^|[\n.;,!?]|\b(?:and|while|whereas|but)(?=\s))[\s>*#_\"'`(\[-]{0,40}+(?P<subject>"
    rf"(?:the\s)?(?:{_NUMBERED})\s?(?:\d{{1,3}}|[a-z])(?=\W)"
    rf"|(?:the\s)?(?:{_ORDINALS})\s(?:{_NUMBERED})\b"
    rf"|(?:the\s|a\s)?(?:{_PERSONS})\b(?:\s(?:voice|speaker|caller))?"
    r"|(?:the\s|at\sthe\s|in\sthe\s)?(?:beginning|start|opening|middle|end|ending)(?=[\"'*_)]*\s?[:=])"
    rf"|{_SECONDS}\s?s?\s?-\s?{_SECONDS}\s?(?:s|secs?|seconds)\b|\d+:\d\d\s?-\s?\d+:\d\d"
    r")[\"'`*_)\]]*\s{0,3}"
    r"(?:[:=>|(-]|(?=\d|[^\W\d_]))",
    re.IGNORECASE,
)
_RATER: Final = re.compile(rf"(?:the\s)?(?:\w+\s)?(?:{_RATERS})\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _SubjectPart:
    """What is said of one subject: its labels and numbers in order."""

    subject: str
    labels: tuple[int, ...]
    numbers: tuple[float, ...]
    unclear: bool


def read_subjects(
    text: str, mentions: Sequence[Mention], amounts: Sequence[Amount], labels: LabelSet
) -> Parsed | None:
    """The votes of raters, or ambiguous where speakers or parts differ; None for anything else.

    Raters who give one label each are counted. One distribution cannot hold what several speakers
    or parts of a recording express, unless all express the same.
    """
    blocks = list(_blocks(text, mentions, amounts))
    if len({block.subject for block in blocks}) < 2:
        return None
    if all(_RATER.match(block.subject) for block in blocks):
        if any(len(block.labels) != 1 or block.numbers or block.unclear for block in blocks):
            return Parsed(None, "label_list", "ambiguous")
        if len(_stated(mentions)) != len(blocks) or len({block.subject for block in blocks}) != len(
            blocks
        ):
            return Parsed(None, "label_list", "ambiguous")
        votes = [0.0] * len(labels)
        for block in blocks:
            votes[block.labels[0]] += 1.0
        return distribution(votes, "label_list")
    first = blocks[0]
    if all((block.labels, block.numbers) == (first.labels, first.numbers) for block in blocks):
        return None
    return Parsed(None, "none", "ambiguous")


def _blocks(
    text: str, mentions: Sequence[Mention], amounts: Sequence[Amount]
) -> list[_SubjectPart]:
    """The subjects that labels are stated of, each up to the next one or the end of its line."""
    heads = list(_HEAD.finditer(text))
    if len(heads) < 2:
        return []
    stated = _stated(mentions)
    label_starts = [mention.start for mention in stated]
    number_starts = [amount.start for amount in amounts]
    blocks: list[_SubjectPart] = []
    for head, following in itertools.zip_longest(heads, heads[1:]):
        start = head.end("subject")
        end = len(text) if following is None else following.start()
        line = text.find("\n", head.end(), end)
        first = bisect_left(label_starts, start)
        if line >= 0 and first < len(stated) and stated[first].start < line:
            end = line  # the lines below are about something else
        own = stated[first : bisect_left(label_starts, end)]
        if not own:
            continue
        numbers = amounts[bisect_left(number_starts, start) : bisect_left(number_starts, end)]
        blocks.append(
            _SubjectPart(
                head["subject"].lower(),
                tuple(mention.label for mention in own if mention.label is not None),
                tuple(amount.value for amount in numbers if amount.role == "share"),
                any(mention.manner == "unclear" for mention in own),
            )
        )
    return blocks


def _stated(mentions: Sequence[Mention]) -> list[Mention]:
    """The labels that are not only denied, listed or given in a reason."""
    manners = ("field", "stated", "unclear")
    return [item for item in mentions if item.label is not None and item.manner in manners]
