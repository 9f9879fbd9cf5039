"""What the objects and lists of an answer say: distributions, records, pairs, fields, lists."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from raypipe.labels import LabelSet
from raypipe.parsing.amounts import Amount, only_amount
from raypipe.parsing.fields import (
    NO_NOUN,
    SOURCES,
    YES,
    Value,
    as_list,
    as_records,
    is_marked,
    is_measure,
    is_nothing,
    is_share_of_unknown,
    is_truth,
    joined,
    list_of_votes,
    noun_rank,
    place_of,
    spaced,
    votes_of_raters,
    without_overridden,
)
from raypipe.parsing.loose import Bracket, Pair, Scalar
from raypipe.parsing.settling import Claim, Share, is_whole
from raypipe.parsing.statements import Statement, merged_statements
from raypipe.parsing.vocabulary import SHARE_NOUNS, WEAK_NOUNS
from raypipe.parsing.words import meaning_of


class ObjectReader:
    """Reads brackets of one answer.

    Args:
        commas: whether the answer writes decimal commas.
    """

    def __init__(self, labels: LabelSet, *, commas: bool) -> None:
        self._labels = labels
        self._commas = commas

    def statements(self, bracket: Bracket, rank: int = 0) -> list[Statement]:
        """Everything in a bracket that may be the answer, inner brackets included."""
        if not bracket.has_keys:
            return self._of_list(bracket, rank)
        record = self._record(bracket)
        if record is not None:
            return [self._shares(bracket, [record], rank)]
        records = [self._record(own) for own in as_records(bracket) or []]
        if records and all(records):
            shares = [share for share in records if share is not None]
            whole = is_whole(Claim("json", tuple(shares), repeats=True))
            return [replace(self._shares(bracket, shares, rank), left_over=not whole)]
        parallel = self._parallel(bracket)
        if parallel is not None:
            return [self._shares(bracket, parallel, rank)]
        listed = as_list(bracket)
        if listed is not None and all(isinstance(pair.value, Bracket) for pair in listed.pairs):
            return self._of_list(listed, rank)
        if self._has_unequal_lists(bracket) or listed is not None:
            return [Statement("unclear", bracket.start, bracket.end, rank=rank)]
        return list(self._of_object(bracket, rank))

    def _shares(self, bracket: Bracket, shares: Sequence[Share], rank: int) -> Statement:
        named = frozenset(share.label for share in shares if share.label is not None)
        return Statement(
            "shares",
            bracket.start,
            bracket.end,
            tuple(shares),
            rank=rank,
            named=named,
            marked=is_marked(bracket),
            closed=bracket.closed,
        )

    # --- objects --------------------------------------------------------------------------------

    def _of_object(self, bracket: Bracket, rank: int) -> Iterator[Statement]:
        direct: list[tuple[int, Share]] = []
        unclear, named, unknown = False, set[int](), list[Share]()
        inner: list[Statement] = []
        sources: list[Statement] = []
        has_rival = has_gap = goes_on = False
        for pair in without_overridden(bracket):
            if pair.key is None:
                if isinstance(pair.value, Bracket):
                    inner += self.statements(pair.value, rank)
                goes_on |= isinstance(pair.value, Scalar) and pair.value.text.startswith("..")
                continue
            meaning = meaning_of(pair.key.text, self._labels)
            amount = self._amount(pair.value)
            if meaning.kind == "label":
                assert meaning.label is not None
                named.add(meaning.label)
                if amount is not None:
                    share = _share(meaning.label, pair.key, amount)
                    direct.append((meaning.rank, share))
                elif pair.value is None:
                    has_gap = True
                elif not is_nothing(pair.value):
                    unclear = True
            elif meaning.kind == "unclear":
                unclear |= amount is not None
            elif meaning.kind == "rival":
                unclear |= self._label_of(pair.value) is not None
                has_rival |= any(item.kind == "shares" for item in self._inside(pair.value))
            elif self._label_of(pair.value) is not None and (number := self._item_amount(pair.key)):
                assert isinstance(pair.value, Scalar)
                direct.append((0, _share(self._label_of(pair.value), pair.value, number)))
            elif is_share_of_unknown(pair, meaning) and amount is not None:
                unknown.append(_share(None, pair.key, amount))
            elif joined(pair.key.text) in SOURCES and meaning.kind == "reason":
                sources += [item for item in self._inside(pair.value) if item.kind == "shares"]
            elif (listed := list_of_votes(pair)) is not None and (
                votes := self._voted(listed, self._names(listed))
            ):
                inner.append(votes)
            elif is_measure(pair.key.text):
                continue  # what it says of labels is not how much of each there is
            elif meaning.kind in ("answer", "word", "other"):
                found = self._of_field(pair, max(rank, meaning.rank), meaning.kind == "answer")
                other = meaning.kind == "other"
                inner += [replace(item, marked=item.marked or other) for item in found]
        best = [share for place, share in direct if place == min(place for place, _ in direct)]
        if best:
            # Truth values beside numbers ("ok": true) are no shares.
            covered = {share.label for share in best}
            extra = any(share.label not in covered for _, share in direct)
            yield Statement(
                "shares",
                bracket.start,
                bracket.end,
                tuple(best + unknown),
                rank=rank,
                left_over=unclear or extra or goes_on,
                named=frozenset(named),
                marked=is_marked(bracket),
                closed=bracket.closed and not has_gap,
            )
        elif unclear:
            answered = {text.text for statement in inner for text in statement.texts}
            meanings = {meaning_of(text, self._labels).label for text in answered}
            if not (named and meanings == named):
                yield Statement("unclear", bracket.start, bracket.end, rank=rank)
        if any(item.kind == "shares" for item in inner):
            inner += sources  # of the voice and of the words: neither is the answer
        if has_rival:
            inner = [replace(item, left_over=True) for item in inner]
        # Distributions in several fields are about several things.
        marked = is_marked(bracket) or sum(item.kind == "shares" for item in inner) > 1
        yield from (replace(item, marked=item.marked or marked) for item in inner)

    def _inside(self, value: Value) -> list[Statement]:
        return self.statements(value) if isinstance(value, Bracket) else []

    def _voted(self, bracket: Bracket, names: Sequence[Scalar] | None) -> Statement | None:
        """Counts of labels of which each is a vote; None if there is none, or not all are."""
        labels = [self._label_of(name) for name in names or []]
        if not names or None in labels:
            return None
        first = {label: name for label, name in reversed(list(zip(labels, names, strict=True)))}
        shares = [
            _share(label, name, Amount(name.start, name.end, float(labels.count(label))))
            for label, name in first.items()
            if label is not None
        ]
        return self._shares(bracket, shares, 0)

    def _of_field(self, pair: Pair, rank: int, is_answer: bool) -> list[Statement]:
        value = pair.value
        if isinstance(value, Bracket):
            found = self.statements(value, rank)
            # A list of names under any other key may be about anything.
            return [item for item in found if is_answer or item.kind not in ("names", "numbers")]
        if isinstance(value, Scalar) and is_answer and re.search(r"\w", value.text):
            own = Statement("text", value.start, value.end, texts=(value,), rank=rank)
            return [replace(own, closed=not value.cut)]
        return []

    def _amount(self, value: Value) -> Amount | None:
        """The number that a label's value is or holds."""
        if isinstance(value, Scalar):
            if value.text.strip().lower() in YES:
                return Amount(value.start, value.end, 1.0)
            if value.text.strip().lower() in ("false", "no", "none", "absent"):
                return Amount(value.start, value.end, 0.0)
            return self._scalar_amount(value)
        if isinstance(value, Bracket) and value.has_keys:
            return self._inner_amount(value)
        if isinstance(value, Bracket):
            return self._range(value)
        return None

    def _scalar_amount(self, value: Scalar) -> Amount | None:
        amount = only_amount(value.text, commas=self._commas)
        if amount is None:
            return None
        return replace(amount, start=value.start, end=value.end)

    def _inner_amount(self, bracket: Bracket) -> Amount | None:
        """The number in ``{"score": 0.4, "why": ...}``: that of the most certain noun."""
        values = {joined(pair.key.text): pair.value for pair in bracket.pairs if pair.key}
        for noun in (*SHARE_NOUNS, *WEAK_NOUNS, "mean", "average", "median", "estimate", "present"):
            if isinstance(value := values.get(noun), Scalar):
                return self._amount(value)
        ends = [values.get("min"), values.get("max")]
        if len(values) == 2 and all(isinstance(end, Scalar) for end in ends):
            return self._range(replace(bracket, pairs=tuple(Pair(None, end) for end in ends)))
        return None

    def _range(self, bracket: Bracket) -> Amount | None:
        numbers = [self._item_amount(pair.value) for pair in bracket.pairs]
        known = [number for number in numbers if number is not None]
        if not known or len(known) > 2 or (len(known) > 1 and len(known) != len(numbers)):
            return None
        if len(known) == 2 and known[0].value > known[1].value:
            return None
        value = sum(number.value for number in known) / len(known)
        return replace(known[0], value=value, start=bracket.start, end=bracket.end)

    def _item_amount(self, value: Value) -> Amount | None:
        if not isinstance(value, Scalar) or is_truth(value):
            return None
        amount = self._scalar_amount(value)
        if amount is None or re.search(r"[^\W\d_]{3}", re.sub("percent|nan|inf", "", value.text)):
            return None
        return amount

    def _record(self, bracket: Bracket) -> Share | None:
        """Share of ``{"emotion": "anger", "score": 0.4}``: one name and one number."""
        names = []
        ranked: dict[int, list[Amount]] = {}
        for pair in bracket.pairs:
            if pair.key is None:
                return None
            meaning = meaning_of(pair.key.text, self._labels)
            if meaning.kind in ("label", "unclear"):
                return None
            noun = noun_rank(pair.key.text)
            if noun is not None and (amount := self._amount(pair.value)) is not None:
                ranked.setdefault(noun, []).append(amount)
            elif meaning.kind == "answer" and isinstance(pair.value, Scalar):
                names.append(pair.value)
            elif meaning.kind == "answer":
                return None
        if len(names) != 1 or not ranked:
            return None
        amounts = ranked[min(ranked)]
        meaning = meaning_of(names[0].text, self._labels)
        if len(amounts) != 1 or meaning.kind not in ("label", "word") or not names[0].text.strip():
            return None
        # Of a record alone it says how sure somebody is, whatever it is called.
        return _share(meaning.label, names[0], replace(amounts[0], role="weak"))

    def _parallel(self, bracket: Bracket) -> list[Share] | None:
        """Shares of ``{"labels": [...], "scores": [...]}``."""
        names, numbers = self._lists(bracket)
        if len(names) != 1 or not numbers:
            return None
        best = [amounts for rank, amounts in numbers if rank == min(rank for rank, _ in numbers)]
        if len(best) != 1 or len(best[0]) != len(names[0]):
            return None
        return self.paired(names[0], best[0])

    def _has_unequal_lists(self, bracket: Bracket) -> bool:
        """Whether a list of labels stands beside shares that are more or fewer."""
        names, numbers = self._lists(bracket)
        lengths = {len(amounts) for rank, amounts in numbers if rank < NO_NOUN}
        return len(names) == 1 and bool(lengths) and len(names[0]) not in lengths

    def _lists(self, bracket: Bracket) -> tuple[list[list[Scalar]], list[tuple[int, list[Amount]]]]:
        """The lists of labels in an object, and those of numbers with the rank of their noun."""
        names, numbers = [], []
        for pair in bracket.pairs:
            value = as_list(pair.value)
            if pair.key is None or value is None:
                continue
            if meaning_of(pair.key.text, self._labels).kind == "reason":
                continue
            if (found := self._names(value)) is not None:
                names.append(found)
            elif (amounts := self._numbers(value)) is not None:
                noun = noun_rank(pair.key.text)
                numbers.append((NO_NOUN if noun is None else noun, amounts))
        return names, numbers

    def paired(self, names: Sequence[Scalar], amounts: Sequence[Amount]) -> list[Share] | None:
        """Shares of two lists of one length; None if a name is no plain one."""
        meanings = [meaning_of(name.text, self._labels) for name in names]
        if not any(meaning.kind == "label" for meaning in meanings):
            return None
        return [
            _share(meaning.label, name, amount)
            for meaning, name, amount in zip(meanings, names, amounts, strict=True)
        ]

    # --- lists ----------------------------------------------------------------------------------

    def _of_list(self, bracket: Bracket, rank: int) -> list[Statement]:
        values = [pair.value for pair in bracket.pairs]
        if not values:
            return []
        numbers = self._numbers(bracket)
        if numbers is not None:
            return [
                Statement(
                    "numbers",
                    bracket.start,
                    bracket.end,
                    numbers=tuple(numbers),
                    rank=rank,
                    closed=bracket.closed,
                )
            ]
        names = self._names(bracket)
        if names is not None:
            own = Statement("names", bracket.start, bracket.end, texts=tuple(names), rank=rank)
            return [replace(own, closed=bracket.closed)]
        flat = self._alternating(values)
        if flat is not None:
            return [self._shares(bracket, flat, rank)]
        found = [
            item
            for value in values
            if isinstance(value, Bracket)
            for item in self.statements(value, rank)
        ]
        votes = self._voted(bracket, votes_of_raters(bracket, self._labels))
        if votes is not None:
            return [votes]
        places = {place_of(value) for value in values if isinstance(value, Bracket)}
        if len(places) == 1 and len(values) > 1:
            found = [replace(item, marked=False) for item in found]  # all of one place
        whole = merged_statements(found, bracket.start, bracket.end)
        # A stray brace around an object has no end either; a list may go on.
        is_whole = bracket.closed or bracket.kind == "{"
        return [replace(item, closed=item.closed and is_whole) for item in whole]

    def _label_of(self, value: Value) -> int | None:
        return meaning_of(value.text, self._labels).label if isinstance(value, Scalar) else None

    def _names(self, bracket: Bracket) -> list[Scalar] | None:
        """The strings of a list of which at least one means a label."""
        if bracket.has_keys:
            return None
        names = [pair.value for pair in bracket.pairs if isinstance(pair.value, Scalar)]
        if not names or len(names) != len(bracket.pairs):
            return None
        if any(self._item_amount(name) is not None for name in names):
            return None
        known = any(meaning_of(name.text, self._labels).kind == "label" for name in names)
        return names if known else None

    def _numbers(self, bracket: Bracket) -> list[Amount] | None:
        if bracket.has_keys or not bracket.pairs:
            return None
        numbers: list[Amount] = []
        for pair in bracket.pairs:
            if isinstance(pair.value, Scalar) and len(pair.value.text.split()) > 1:
                parts = spaced(pair.value)  # [0.25 0.75], as numpy prints
            else:
                parts = [pair.value] if isinstance(pair.value, Scalar) else []
            amounts = [self._item_amount(part) for part in parts]
            if not amounts or None in amounts:
                return None
            numbers += [amount for amount in amounts if amount is not None]
        return numbers

    def _alternating(self, values: Sequence[Value]) -> list[Share] | None:
        """Shares of ``["anger", 0.25, "sadness", 0.75]``, and of a pair."""
        if len(values) % 2 or not all(isinstance(value, Scalar) for value in values):
            return None
        scalars = [value for value in values if isinstance(value, Scalar)]
        if scalars and self._item_amount(scalars[0]) is not None:
            scalars.reverse()  # the number first
        names, amounts = scalars[::2], [self._item_amount(value) for value in scalars[1::2]]
        if any(self._item_amount(name) is not None for name in names) or None in amounts:
            return None
        if any(meaning_of(name.text, self._labels).kind == "other" for name in names):
            return None
        return self.paired(names, [amount for amount in amounts if amount is not None]) or (
            # A pair of an unknown word is a share of a list of pairs.
            [_share(None, names[0], amounts[0])]
            if len(names) == 1 and amounts[0] is not None
            else None
        )


def _share(label: int | None, name: Scalar, amount: Amount) -> Share:
    return Share(label, name.text.strip().lower(), (name.start, name.end), amount)
