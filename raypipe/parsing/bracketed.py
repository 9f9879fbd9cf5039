"""Answers in brackets: which of several objects and lists counts, and what it says."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from raypipe.labels import LabelSet
from raypipe.parsing.amounts import amounts_in
from raypipe.parsing.around import settled, without_denied
from raypipe.parsing.context import AnswerContext
from raypipe.parsing.loose import Bracket
from raypipe.parsing.mentions import Mention, mentions_in
from raypipe.parsing.naming import repeats_unevenly, uniform
from raypipe.parsing.objects import ObjectReader
from raypipe.parsing.parts import TextPart
from raypipe.parsing.prose import read_prose
from raypipe.parsing.settling import Claim, Share, distribution, is_whole, same_value
from raypipe.parsing.statements import Statement, merged_statements
from raypipe.parsing.vocabulary import ANSWER_KEYS, word_set
from raypipe.parsing.words import meaning_of
from raypipe.records import Parsed

_LIST_WORDS = word_set(
    "label labels emotion emotions and order score scores share shares in the of for are is list "
    "vector value values probability probabilities distribution respectively as here"
)
_HEADING = re.compile(r"([^\W_][^\n:.;,{}()\[\]]{0,40})[\"'`*_)]*\s?:[\s\"'`*]*$")
_IS_RESULT = re.compile(
    r"final|answer|result|revis|correct|updat|overall|combin|after|again|conclu|adjust|normali[sz]"
    r"|output|distribution|probab|estimate|thought|reflect|reconsider|better|improv|refin|\bnow\b"
    r"|summary|instead|json|\bso\b|thus|therefore|hence|shares|emotions?$"
)
_FINAL = ANSWER_KEYS["final"]
_ROUND_LIST = re.compile(r"\(\s*[-+\d.][-+\d.,;%\s]*\)")


def read_brackets(
    answer: AnswerContext,
    brackets: Sequence[Bracket],
    found: Sequence[Statement],
    prose: str,
    reader: ObjectReader,
) -> Parsed | None:
    """What the objects and lists of an answer say; None if they say nothing."""
    parallel = _parallel_lists(found, reader)
    if parallel is not None:
        return settled(answer, parallel, prose, len(answer.text))
    if _has_unequal_lists(found):
        return Parsed(None, "parallel_lists", "ambiguous")
    found = merged_statements(found, 0, len(answer.text))
    shares = [statement for statement in found if statement.kind == "shares"]
    if shares:
        return _of_shares(answer, brackets, shares, prose)
    if any(statement.kind == "unclear" for statement in found):
        return Parsed(None, "json", "ambiguous")
    if _is_cut(answer, brackets, found):
        return Parsed(None, "json", "truncated")
    numbers = [statement for statement in found if statement.kind == "numbers"]
    keyed = [item for item in numbers if not item.top]
    if keyed:
        return _of_keyed_numbers(answer, keyed, found)
    texts = [item for item in found if item.kind in ("text", "names")]
    if any(item.kind == "text" for item in texts):
        return _of_fields(answer, texts, prose)
    if texts and not answer.labels_in(prose):
        return _of_fields(answer, texts, prose)
    return None if texts else _of_numbers(answer, numbers, prose)


def _is_cut(answer: AnswerContext, brackets: Sequence[Bracket], found: Sequence[Statement]) -> bool:
    """Whether the last bracket has no end, and what it says of labels may not be all."""
    if not brackets or brackets[-1].closed:
        return False
    own = [item for item in found if item.start >= brackets[-1].start and item.kind != "numbers"]
    if own:
        return not all(item.closed for item in own)
    return bool(answer.labels_in(answer.text[brackets[-1].start :]))


def _of_shares(
    answer: AnswerContext, brackets: Sequence[Bracket], shares: Sequence[Statement], prose: str
) -> Parsed:
    shares = _without_cut(shares, brackets)
    standing = without_denied(shares, prose)
    chosen = None if standing is None else _chosen(standing, prose)
    if chosen is None:
        return Parsed(None, "json", "ambiguous")
    claim = Claim(
        "json",
        chosen.shares,
        chosen.left_over,
        repeats=True,
        cut=not chosen.closed,
        named=chosen.named,
    )
    if claim.cut and not _names_all(claim, answer.labels):
        return Parsed(None, "json", "truncated")
    return settled(answer, claim, prose, chosen.end)


def _without_cut(shares: Sequence[Statement], brackets: Sequence[Bracket]) -> Sequence[Statement]:
    """Without an object that was begun again and cut, as long as it says nothing new."""
    last = shares[-1]
    if len(shares) < 2 or brackets[-1].closed or last.start < brackets[-1].start:
        return shares
    earlier = {share.label: share.amount for share in shares[-2].shares}
    agrees = all(
        share.label in earlier and same_value(share.amount, earlier[share.label])
        for share in last.shares
        if share.amount.value
    )
    return shares[:-1] if agrees else shares


def _names_all(claim: Claim, labels: LabelSet) -> bool:
    return len(claim.named) == len(labels) and is_whole(claim)


def _has_unequal_lists(found: Sequence[Statement]) -> bool:
    """Whether all that is there is a list of labels and one of more or fewer numbers."""
    return (
        sorted(item.kind for item in found) == ["names", "numbers"]
        and len({len(item.texts or item.numbers) for item in found}) > 1
    )


def _chosen(shares: Sequence[Statement], prose: str) -> Statement | None:
    """The statement that counts: of the surest fields; of objects after each other the last."""
    best = [item for item in shares if item.rank == max(item.rank for item in shares)]
    if len(best) == 1:
        return best[0]
    if all(_same_statement(item, best[0]) for item in best):
        return best[-1]
    nested = any(
        first.start <= second.start and second.end <= first.end
        for first in best
        for second in best
        if first is not second
    )
    if nested or any(item.marked for item in best) or not _is_sequence(best):
        return None
    if _stand_beside_each_other(best, prose):
        return None
    # An answer that was given again: the later one names what the earlier one does.
    names = [item.named for item in best]
    return best[-1] if all(own & names[-1] for own in names) else None


def _stand_beside_each_other(statements: Sequence[Statement], prose: str) -> bool:
    """Whether the last one is about something else than the one before it."""
    heads = [
        _heading(prose[(first.end if first else 0) : second.start])
        for first, second in zip((None, *statements), statements, strict=False)
    ]
    return (
        heads[-1] != ""
        and not _IS_RESULT.search(heads[-1])
        and any(head not in ("", heads[-1]) for head in heads)
    )


def _heading(text: str) -> str:
    """What stands before a colon right before an object."""
    head = _HEADING.search(text)
    return "" if head is None else head[1].strip().lower()


def _is_sequence(statements: Sequence[Statement]) -> bool:
    """Whether statements stand after each other at the top, not in one object or list."""
    return all(item.top for item in statements)


def _same_statement(first: Statement, second: Statement) -> bool:
    ours = {share.label: share.amount for share in first.shares if share.amount.value}
    theirs = {share.label: share.amount for share in second.shares if share.amount.value}
    return ours.keys() == theirs.keys() and all(
        same_value(amount, theirs[label]) for label, amount in ours.items()
    )


def _parallel_lists(found: Sequence[Statement], reader: ObjectReader) -> Claim | None:
    """``[anger, fear]`` beside ``[0.6, 0.4]``."""
    names = [item for item in found if item.kind == "names"]
    numbers = [item for item in found if item.kind == "numbers"]
    if len(names) != 1 or len(numbers) != 1 or len(found) != 2:
        return None
    if len(names[0].texts) != len(numbers[0].numbers):
        return None
    shares = reader.paired(names[0].texts, numbers[0].numbers)
    if shares is None:
        return None
    named = frozenset(share.label for share in shares if share.label is not None)
    return Claim("parallel_lists", tuple(shares), named=named)


def _of_keyed_numbers(
    answer: AnswerContext, numbers: Sequence[Statement], found: Sequence[Statement]
) -> Parsed:
    """Shares in a field of an object, by the order of the labels: as many as there are labels."""
    values = [[amount.value for amount in item.numbers] for item in numbers]
    lists = [item for item in found if item.kind == "names"]
    if lists or len(values[0]) != len(answer.labels) or any(own != values[0] for own in values[1:]):
        return Parsed(None, "number_list", "ambiguous")
    answer.parts.append(
        TextPart(numbers[0].start, numbers[0].end, "shares by the order of the labels")
    )
    return distribution(values[0], "number_list")


def _of_fields(answer: AnswerContext, texts: Sequence[Statement], prose: str) -> Parsed:
    """The text of the field that is the answer, read like an answer of its own."""
    surest = max(item.rank for item in texts)
    if surest < _FINAL and len(_labels_of_fields(answer, texts)) > 1:
        return Parsed(None, "keyword", "ambiguous")
    readings = []
    for item in texts:
        if item.rank < surest:
            continue
        readings.append(_of_field(answer, item))
    valid = [parsed for parsed in readings if parsed.probs is not None]
    if not valid or any(parsed.invalid_reason == "ambiguous" for parsed in readings):
        return readings[-1] if not valid else Parsed(None, "keyword", "ambiguous")
    if any(_differ(parsed, valid[0]) for parsed in valid[1:]):
        return Parsed(None, "keyword", "ambiguous")
    end = max(item.end for item in texts)
    pairs = answer.pairs_in(prose)
    if pairs is not None and (pairs.parsed.probs is None or _differ(pairs.parsed, valid[0])):
        return Parsed(None, valid[0].rule, "ambiguous")
    rest = read_prose(answer.without_notes(), prose[end:])
    if rest.probs is not None and _differ(rest, valid[0]):
        return Parsed(None, valid[0].rule, "ambiguous")
    return valid[0]


def _labels_of_fields(answer: AnswerContext, texts: Sequence[Statement]) -> set[int]:
    """Labels that single fields state: an emotion beside a predicted emotion."""
    meanings = [
        meaning_of(item.texts[0].text, answer.labels) for item in texts if item.kind == "text"
    ]
    return {meaning.label for meaning in meanings if meaning.label is not None}


def _of_field(answer: AnswerContext, statement: Statement) -> Parsed:
    if statement.kind == "names":
        answer.parts.append(TextPart(statement.start, statement.end, "labels"))
        known = {meaning_of(item.text, answer.labels).label for item in statement.texts} - {None}
        if len(known) > 1 and repeats_unevenly([item.text for item in statement.texts]):
            return Parsed(None, "label_list", "ambiguous")
        return uniform(known, answer.labels, "label_list")
    [text] = statement.texts
    answer.parts.append(TextPart(text.start, text.end, "field of the answer"))
    meaning = meaning_of(text.text, answer.labels)
    if meaning.kind == "label":
        return uniform({meaning.label}, answer.labels, "keyword")
    return answer.read_field(text.text)


def _differ(first: Parsed, second: Parsed) -> bool:
    if first.probs is None or second.probs is None:
        return True
    return bool(abs(first.probs - second.probs).max() > 1e-6)


def _of_numbers(answer: AnswerContext, numbers: Sequence[Statement], prose: str) -> Parsed | None:
    """Shares by the order of the labels; padded and cut only where nothing else is said."""
    lists = [list(item.numbers) for item in numbers]
    spans = [(item.start, item.end) for item in numbers]
    for match in _ROUND_LIST.finditer(prose):
        amounts = amounts_in(match[0], commas=answer.commas)
        if len(amounts) > 1 and re.search(r"[,;]", match[0]):
            lists.append(amounts)
            spans.append(match.span())
    several = [item for item in zip(lists, spans, strict=True) if len(item[0]) > 1]
    if not several:
        return None
    values = [[amount.value for amount in amounts] for amounts, _ in several]
    chosen, (start, end) = several[-1]
    named = answer.labels_in(prose[:start] + prose[end:])
    if any(not item.closed and len(item.numbers) != len(answer.labels) for item in numbers):
        return Parsed(None, "number_list", "truncated")
    if any(own != values[0] for own in values[1:]):
        return Parsed(None, "number_list", "ambiguous")
    around = prose[:start] + " " * (end - start) + prose[end:]
    beside = mentions_in(around, answer.labels)
    words = [mention for mention in beside if mention.label is not None]
    alone = _is_alone(around, words) and not answer.amounts_in(around)
    if len(words) == len(chosen) == len(named) and alone:
        shares = [
            Share(word.label, word.word, (word.start, word.end), amount)
            for word, amount in zip(words, chosen, strict=True)
        ]
        named_labels = frozenset(named)
        return settled(answer, Claim("parallel_lists", tuple(shares), named=named_labels), "", 0)
    if len(chosen) != len(answer.labels) and named:
        return Parsed(None, "number_list", "ambiguous")
    if answer.pairs_in(around) is not None:
        return Parsed(None, "number_list", "ambiguous")
    answer.parts.append(TextPart(start, end, "shares by the order of the labels"))
    padded = (values[-1] + [0.0] * len(answer.labels))[: len(answer.labels)]
    if not all(math.isfinite(value) for value in values[-1]):
        return Parsed(None, "number_list", "not_finite")
    return distribution(padded, "number_list")


def _is_alone(text: str, words: Sequence[Mention]) -> bool:
    """Whether nothing stands in a text but a list of labels."""
    bare = text
    for word in reversed(words):
        bare = bare[: word.start] + bare[word.end :]
    return all(word in _LIST_WORDS for word in re.findall(r"[^\W\d_]+", bare.lower()))
