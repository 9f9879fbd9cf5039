"""Answers in running text: tables, labels beside numbers, lists and words, in this order."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from raypipe.labels import LabelSet
from raypipe.parsing.amounts import Amount
from raypipe.parsing.around import REVISION, settled
from raypipe.parsing.context import AnswerContext
from raypipe.parsing.mentions import Mention, mentions_in
from raypipe.parsing.naming import read_list, read_names, uniform
from raypipe.parsing.pairing import Pairing, read_flags, read_pairs
from raypipe.parsing.refusals import is_refusal, without_refusal
from raypipe.parsing.settling import distribution, is_whole
from raypipe.parsing.subjects import read_subjects
from raypipe.parsing.tables import read_table
from raypipe.records import Parsed

_CONCLUSION = re.compile(
    r"(?:^|[.!?;\n])\s{0,40}+(?:overall|combined(?=\s?:)|in\s(?:conclusion|summary|short|sum)|therefore|thus|hence|so|to\s"
    r"(?:sum\sup|conclude)|all\sin\sall|taken\stogether|conclusion|on\sbalance|in\sthe\send)\b",
    re.IGNORECASE,
)
_HEDGE = re.compile(r"\W*(?:\w+\W+)?(?:maybe|perhaps|possibly|could|might)\b", re.IGNORECASE)
_RANKED = re.compile(r"\b(?:rank(?:s|ed|ing)?|ordered|order\sof|top\s\d)\b", re.IGNORECASE)


def read_prose(answer: AnswerContext, prose: str) -> Parsed:
    """Tables, labels beside numbers, lists and words, in this order."""
    table = read_table(prose, answer.labels, commas=answer.commas)
    if table is not None:
        if table.claim is None:
            return Parsed(None, "table", "ambiguous")
        outside = prose[: table.start] + " " * (table.end - table.start) + prose[table.end :]
        return settled(answer, table.claim, outside, table.end)
    whole = _of_prose(answer, prose)
    for pattern in (REVISION, _CONCLUSION):
        cuts = list(pattern.finditer(prose))
        if not cuts or not answer.labels_in(prose[cuts[-1].end() :]):
            continue
        if not answer.labels_in(prose[: cuts[-1].start()]):
            continue
        rest = _of_prose(answer, prose[cuts[-1].end() :], cuts[-1].end())
        if whole.rule == "percent_list" and rest.rule != "percent_list":
            if pattern is REVISION:
                return Parsed(None, whole.rule, "ambiguous")
            continue
        if pattern is REVISION and _HEDGE.match(prose, cuts[-1].end()):
            return Parsed(None, rest.rule, "ambiguous")
        if pattern is REVISION or rest.probs is not None:
            return rest
    return whole


def _of_prose(answer: AnswerContext, prose: str, offset: int = 0) -> Parsed:
    labels = answer.labels
    mentions = mentions_in(prose, labels)
    amounts = answer.amounts_in(prose)
    answer.note(mentions, amounts, offset)
    several = read_subjects(prose, mentions, amounts, labels)
    if several is not None:
        return several
    pairs = read_pairs(prose, mentions, amounts, labels, answer.max_dropped_share)
    if pairs is not None and not _is_confidence_only(pairs):
        if _RANKED.search(prose) and not is_whole(pairs.claim):
            return Parsed(None, pairs.claim.rule, "ambiguous")
        return pairs.parsed
    if is_refusal(prose):
        rest = without_refusal(prose)
        again = None if rest is None else read_names(rest, mentions_in(rest, labels), labels)
        if again is None or again.probs is None:
            return Parsed(None, "none", "refusal")
        return again
    if _has_spare_numbers(mentions, amounts):
        return Parsed(None, "percent_list", "ambiguous")
    flagged = read_flags(prose, mentions)
    if flagged is not None:
        if not flagged:
            return Parsed(None, "label_list", "ambiguous")
        return uniform(flagged, labels, "label_list")
    listed = read_list(prose, mentions, labels)
    if listed is not None and not prose.rstrip().endswith((":", ",")):
        return listed
    numbers = _bare_numbers(prose, amounts, labels)
    if numbers is not None:
        return numbers
    named = read_names(prose, mentions, labels)
    if named is not None:
        return named
    return Parsed(None, "none", _reason_without_rule(answer))


def _is_confidence_only(pairs: Pairing) -> bool:
    """Whether a number says how sure the whole answer is, and no label has a share."""
    roles = {share.amount.role for share in pairs.claim.shares if share.amount.value}
    return pairs.parsed.probs is None and roles == {"weak"}


def _has_spare_numbers(mentions: Sequence[Mention], amounts: Sequence[Amount]) -> bool:
    """Whether several labels stand beside numbers that may be shares of any of them."""
    manners = ("field", "stated")
    stated = {mention.label for mention in mentions if mention.manner in manners} - {None}
    return len(stated) > 1 and any(amount.role == "share" and amount.value for amount in amounts)


def _bare_numbers(prose: str, amounts: Sequence[Amount], labels: LabelSet) -> Parsed | None:
    """As many numbers as labels and nothing else, which add up to one: a list without brackets."""
    if len(amounts) != len(labels) or re.search(r"[^\W\d_]", prose):
        return None
    total = math.fsum(amount.value for amount in amounts)
    if not any(abs(total / whole - 1.0) <= 0.02 for whole in (1.0, 100.0)):
        return None
    return distribution([amount.value for amount in amounts], "number_list")


def _reason_without_rule(answer: AnswerContext) -> str:
    if len(answer.amounts_in(answer.text)) == 1 and not re.search(r"[^\W\d_]{12}", answer.text):
        return "single_number"
    return "no_answer"
