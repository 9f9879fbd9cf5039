"""Labels without numbers: the one that is stated, or a list of several."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from raypipe.labels import LabelSet
from raypipe.parsing.mentions import Mention, is_list_gap
from raypipe.parsing.settling import distribution
from raypipe.records import Parsed

_BREAK: Final = re.compile(r"[,;/|\n*&]|\band\b", re.IGNORECASE)
_DEGREES: Final = re.compile(
    r"\((?:very\s)?(?:strong|weak|high|low|mild|medium|moderate|slight|minor|major)\)",
    re.IGNORECASE,
)
_LEAD: Final = re.compile(r"^\s*(?:[-*+]\s+|\(?\d{1,2}[.):]\s*)")


def read_list(text: str, mentions: Sequence[Mention], labels: LabelSet) -> Parsed | None:
    """Uniform over a bare list of labels, unknown entries ignored; None for anything else."""
    if not mentions:
        return None
    # Lines before and behind it name no emotion: they are about something else.
    start = text.rfind("\n", 0, mentions[0].start) + 1
    end = text.find("\n", mentions[-1].end)
    return _list_of_lines(text[start : end if end >= 0 else len(text)], start, mentions, labels)


def _list_of_lines(
    text: str, start: int, mentions: Sequence[Mention], labels: LabelSet
) -> Parsed | None:
    body = text.rsplit(":", 1)[-1] if ":" in text else text
    head = text[: len(text) - len(body)]
    if any(item.end <= start + len(head) and item.label is not None for item in mentions):
        return None
    if any(mention.manner not in ("field", "stated") for mention in mentions):
        return None
    entries = [_LEAD.sub("", entry).strip(" \t\n.!*_\"'`()[]") for entry in _BREAK.split(body)]
    entries = [entry for entry in entries if re.search(r"\w", entry)]
    if len(entries) < 2 or any(len(entry.split()) > 2 or "." in entry for entry in entries):
        return None
    indices = [labels.index(entry) for entry in entries]
    if any(
        index is None and re.search(r"\d", entry)
        for index, entry in zip(indices, entries, strict=True)
    ):
        return None  # times and numbers say what each label is about
    known = set(indices) - {None}
    if len(known) > 1 and repeats_unevenly(entries):
        return Parsed(None, "label_list", "ambiguous")
    if indices == list(range(len(labels))) and not text.lstrip().startswith(("[", "{")):
        return Parsed(None, "label_list", "ambiguous")  # the question's options, said again
    named = {mention.label for mention in mentions} - {None}
    return uniform(known, labels, "label_list") if known and known == named else None


def repeats_unevenly(entries: Sequence[str]) -> bool:
    """Whether some entries of a list are there more often than others: it may be votes."""
    counts = Counter(entry.strip().lower() for entry in entries)
    return len(set(counts.values())) > 1


def read_names(text: str, mentions: Sequence[Mention], labels: LabelSet) -> Parsed | None:
    """One-hot on the label that a field or a sentence states, uniform over a stated list.

    None if the text names no label; ambiguous if it only denies some, lists options, or states
    several that are not joined as a list.
    """
    known = [mention for mention in mentions if mention.label is not None]
    if not known:
        return None
    if re.search(r"(?:[:=,]|\b(?:and|or|with|but|not|a|an|the))$", text.rstrip(), re.IGNORECASE):
        return Parsed(None, "keyword", "truncated")
    fields = [mention for mention in known if mention.manner == "field"]
    stated = [mention for mention in known if mention.manner == "stated"]
    unclear = {mention.label for mention in known if mention.manner == "unclear"}
    chosen = fields or stated
    choice = {mention.label for mention in chosen}
    others = {mention.label for mention in stated} | (set() if fields else unclear)
    if not choice or not others <= choice:
        return Parsed(None, "keyword", "ambiguous")
    if len(choice) > 1 and not _is_one_list(text, chosen):
        return Parsed(None, "keyword", "ambiguous")
    denied = {mention.label for mention in known if mention.manner == "denied"}
    if denied & choice:
        return Parsed(None, "keyword", "ambiguous")
    return uniform(choice, labels, "keyword")


def uniform(known: set[int | None], labels: LabelSet, rule: str) -> Parsed:
    """The uniform distribution over some labels."""
    return distribution([float(label in known) for label in range(len(labels))], rule)


def _is_one_list(text: str, chosen: Sequence[Mention]) -> bool:
    """Whether only separators and words of degree part the labels from first to last."""
    places = sorted(chosen, key=lambda mention: mention.start)
    return not _DEGREES.search(text[places[0].end : places[-1].end + 20]) and all(
        is_list_gap(text[first.end : second.start]) for first, second in itertools.pairwise(places)
    )
