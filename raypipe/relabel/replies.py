"""What a model answered about the items of a request, each of them checked by itself."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from raypipe.labels import LabelSet
from raypipe.parsing.loose import Bracket, Pair, Scalar, top_brackets
from raypipe.parsing.section import find_answer
from raypipe.relabel.item import Described
from raypipe.relabel.settings import RelabelSettings

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_INDEX = re.compile(r"(\d{1,9})(?:\.0+)?")
_FLOAT_NOISE = 1e-9  # 1 - .98 is not .02
_BESIDE = ("index", "words", "descriptions", "description", "reference", "reason", "changed")
_DISTRIBUTIONS = ("distribution", "adjusted", "labels", "emotions")
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class ItemAnswer:
    """What a model says of one item.

    Attributes:
        probs: shape ``(labels,)``, normalised.
        reason: in the model's words; None where none was asked for.
    """

    probs: tuple[float, ...]
    reason: str | None


class _UnusableError(Exception):
    """Why an answer about an item cannot be used."""


def read_reply(
    text: str, items: Mapping[int, Described], labels: LabelSet, settings: RelabelSettings
) -> Mapping[int, ItemAnswer | str]:
    """The answer about every item of a request, or in a few words why there is none.

    An answer counts if its index was asked for and stands there once, its descriptions (where it
    repeats them) are the item's, it has a number in [0, 1] for every label, in their order, their
    sum is 1 within the tolerance, and a reason is there if one was asked for. Text around the JSON
    does not matter; an object whose end is missing does not count.

    Args:
        text: what the model wrote.
        items: by the index that they have in the request.
        labels: the label set.
        settings: of the job.
    """
    section = find_answer(text)
    objects: dict[int, list[Bracket]] = {}
    for index, bracket in _objects(top_brackets(text[section.start : section.end], commas=False)):
        objects.setdefault(index, []).append(bracket)
    return {
        index: _checked(objects.get(index, ()), item, labels, settings)
        for index, item in items.items()
    }


def _checked(
    objects: Sequence[Bracket], item: Described, labels: LabelSet, settings: RelabelSettings
) -> ItemAnswer | str:
    if not objects:
        return "no object with this index"
    if len(objects) > 1:
        return f"{len(objects)} objects with this index"
    try:
        return _answer(objects[0], item, labels, settings)
    except _UnusableError as error:
        return str(error)


def _objects(brackets: Sequence[Bracket]) -> Iterator[tuple[int, Bracket]]:
    """Objects that say which item they are about: by a field, or by the key they stand under."""
    waiting: list[tuple[str | None, Bracket]] = [(None, bracket) for bracket in reversed(brackets)]
    while waiting:
        key, bracket = waiting.pop()
        index = _index(key, bracket)
        if index is not None:
            yield index, bracket
            continue
        waiting += [
            (None if pair.key is None else pair.key.text, pair.value)
            for pair in reversed(bracket.pairs)
            if isinstance(pair.value, Bracket)
        ]


def _index(key: str | None, bracket: Bracket) -> int | None:
    if not bracket.has_keys:
        return None
    field = _field(bracket, "index")
    written = field.value.text if field and isinstance(field.value, Scalar) else key
    number = None if written is None else _INDEX.fullmatch(written.strip())
    return None if number is None else int(number[1])


def _field(bracket: Bracket, *names: str) -> Pair | None:
    """The last field of one of these names."""
    return next(
        (pair for pair in reversed(bracket.pairs) if pair.key and _name(pair.key) in names), None
    )


def _name(key: Scalar) -> str:
    return key.text.strip().lower()


def _answer(
    bracket: Bracket, item: Described, labels: LabelSet, settings: RelabelSettings
) -> ItemAnswer:
    if not bracket.closed:
        raise _UnusableError("its object has no end")
    _check_words(bracket, item)
    shares = _shares(bracket, labels)
    total = math.fsum(shares)
    if abs(total - 1) > settings.sum_tolerance + _FLOAT_NOISE:
        raise _UnusableError(f"the numbers sum to {total:.4g}")
    return ItemAnswer(
        tuple(share / total for share in shares), _reason(bracket) if settings.reasons else None
    )


def _check_words(bracket: Bracket, item: Described) -> None:
    """Other descriptions than the item's mean that the answer is about another item."""
    field = _field(bracket, "words", "descriptions")
    if field is None or field.value is None:
        return
    value = field.value
    parts = [value] if isinstance(value, Scalar) else [pair.value for pair in value.pairs]
    told = [part.text for part in parts if isinstance(part, Scalar) and not _is_nothing(part)]
    if told and _letters(told) != _letters(item.words):
        shown = ", ".join(told)[:_SHOWN]
        raise _UnusableError(f"its words are those of another item: {shown!r}")


def _letters(texts: Iterable[str]) -> list[str]:
    """Words of descriptions in alphabetical order, however they are separated."""
    return sorted(re.findall(r"\w+", " ".join(texts).casefold()))


def _shares(bracket: Bracket, labels: LabelSet) -> list[float]:
    fields = [pair for pair in bracket.pairs if pair.key and _name(pair.key) in _DISTRIBUTIONS]
    if len(fields) > 1:
        raise _UnusableError(f"it has {len(fields)} distributions")
    field = fields[0] if fields else None
    holder = bracket if field is None else field.value
    if not isinstance(holder, Bracket) or not holder.has_keys:
        raise _UnusableError("the distribution is no object with a number for each emotion")
    if not holder.closed:
        raise _UnusableError("its distribution has no end")
    beside = _BESIDE if field is None else ()
    pairs = [pair for pair in holder.pairs if pair.key is None or _name(pair.key) not in beside]
    named = [None if pair.key is None else labels.index(pair.key.text) for pair in pairs]
    if None in named or sorted(index for index in named if index is not None) != list(
        range(len(labels))
    ):
        names = ", ".join("?" if pair.key is None else pair.key.text for pair in pairs)
        raise _UnusableError(f"its emotions are {names[: 2 * _SHOWN] or 'missing'}")
    if named != sorted(index for index in named if index is not None):
        raise _UnusableError("its emotions stand in another order")
    return [_share(pair) for pair in pairs]


def _share(pair: Pair) -> float:
    text = pair.value.text.strip() if isinstance(pair.value, Scalar) else ""
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not 0 <= value <= 1:
        assert pair.key is not None  # it names a label
        raise _UnusableError(f"{pair.key.text} is no number from 0 to 1: {text[:_SHOWN]!r}")
    return value + 0.0  # no negative zero


def _reason(bracket: Bracket) -> str:
    field = _field(bracket, "reason")
    value = field.value if field and isinstance(field.value, Scalar) else None
    text = "" if value is None or _is_nothing(value) else value.text
    if not re.search(r"\w", text):
        raise _UnusableError("it gives no reason")
    return " ".join(text.split())


def _is_nothing(value: Scalar) -> bool:
    return not value.quoted and value.text.strip().lower() in ("null", "none")
