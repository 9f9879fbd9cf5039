"""Checked fields of a label file's line: texts, votes and soft labels."""

from __future__ import annotations

import ast
import io
import itertools
import json
import math
import re
import tokenize
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

# BadLineError and shown go with the checks here: most readers need both.
from raypipe.corpora.bad_line import BadLineError as BadLineError
from raypipe.corpora.bad_line import shown as shown
from raypipe.corpora.channels import named_channels
from raypipe.corpora.facts import other_columns
from raypipe.corpora.field_names import is_missing, is_missing_text, whole_number
from raypipe.corpora.segment import SEGMENT, Segment
from raypipe.labels import LabelSet
from raypipe.records import Utterance, Vote
from raypipe.shards import SUM_TOLERANCE

LONGEST_ID = 1024
_MOST_VOTES = 1000


@dataclass(frozen=True, slots=True)
class FieldRules:
    """Rules by which the fields of users' own data are read.

    Attributes:
        labels: the label set; votes are matched through its aliases.
        other_labels: lower-case words outside it that votes may hold; they do not count.
        dataset: name of the corpus where a line names none.
        channel: channel that is the clip where a line names none, counted from 0; None for the mix
            of all.
    """

    labels: LabelSet
    other_labels: frozenset[str]
    dataset: str
    channel: int | None = None

    @classmethod
    def of(
        cls, labels: LabelSet, other_labels: Iterable[str], dataset: str, channel: int | None
    ) -> FieldRules:
        """Rules of a reader's options; ``other_labels`` in any case."""
        others = frozenset(word.strip().lower() for word in other_labels)
        return cls(labels, others, dataset, channel)

    def part(self, fields: Mapping[str, object]) -> Segment | None:
        """The part of its recording that is the clip; None for all of it.

        Raises:
            BadLineError: ``bad_type`` for a channel that is none.
        """
        segment = fields.get(SEGMENT)
        if not isinstance(segment, Segment):  # a user's own field may have this name
            segment = Segment(0.0, None)
        if segment.channels is None:
            channels = named_channels(fields, self.channel)
            segment = replace(segment, channels=channels)
        return None if segment == Segment(0.0, None) else segment

    def utterance(self, fields: Mapping[str, object], name: str) -> Utterance:
        """The utterance that fields describe, without its audio.

        Raises:
            BadLineError: as the functions below.
        """
        return Utterance(
            utterance_id=name,
            dataset=optional_text(fields, "dataset") or self.dataset,
            split=optional_text(fields, "split"),
            speaker=optional_text(fields, "speaker"),
            audio=b"",
            sampling_rate=0,
            duration_s=0.0,
            transcript=optional_text(fields, "transcript"),
            context=turns(fields.get("context")),
            votes=votes(fields.get("votes"), self.labels, self.other_labels),
            soft_label=shares(fields.get("soft_label"), self.labels),
            arousal=rating(fields.get("arousal"), "arousal"),
            valence=rating(fields.get("valence"), "valence"),
            dominance=rating(fields.get("dominance"), "dominance"),
            facts=other_columns(fields),
        )


def parse_json(text: str, field: str) -> object:
    """A field's JSON.

    Raises:
        BadLineError: ``bad_json``.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadLineError("bad_json", f"{field} is not JSON: {shown(text)} ({error})") from error


_LONGEST_REPR = 20_000


def parse_cell(text: str, field: str) -> object:
    """A cell's JSON, or a list or dictionary as Python prints it, which pandas writes.

    Raises:
        BadLineError: ``bad_json``.
    """
    try:
        return parse_json(text, field)
    except BadLineError:
        if "'" not in text or "\\" in text or len(text) > _LONGEST_REPR:
            raise
        try:
            if _has_neighbouring_texts(text):  # as NumPy prints an array; Python joins them
                raise
            return ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError, tokenize.TokenError):
            pass
        raise


def _has_neighbouring_texts(text: str) -> bool:
    kinds = [token.type for token in tokenize.generate_tokens(io.StringIO(text).readline)]
    texts = (tokenize.STRING, tokenize.STRING)
    kinds = [kind for kind in kinds if kind not in (tokenize.NL, tokenize.NEWLINE)]
    return texts in itertools.pairwise(kinds)


def optional_text(fields: Mapping[str, object], name: str) -> str | None:
    """A field's text without outer blanks, None if it is missing or empty; a whole number is text.

    Raises:
        BadLineError: ``bad_type`` for anything else, ``not_unicode`` for text that is not UTF-8,
            ``nul`` for text with NUL characters.
    """
    value = fields.get(name)
    return None if is_missing(value) else as_text(value, name) or None


def as_text(value: object, field: str) -> str:
    """A value that must be text; raises as :func:`optional_text`."""
    number = whole_number(value)
    if number is not None:
        return str(number)
    if not isinstance(value, str):
        raise BadLineError("bad_type", f"{field} is not text: {shown(value)}")
    if "\0" in value:
        raise BadLineError("nul", f"{field} holds NUL characters: {shown(value)}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadLineError(
            "not_unicode", f"{field} is not valid Unicode: {shown(value)}"
        ) from error
    return value.strip()


def utterance_id(fields: Mapping[str, object]) -> str:
    """The line's id.

    Raises:
        BadLineError: ``missing_id``, or ``bad_id`` for control characters or an endless text.
    """
    name = optional_text(fields, "id") or optional_text(fields, "utterance_id")
    if name is None:
        raise BadLineError("missing_id", "no id")
    if len(name) > LONGEST_ID or not name.isprintable():
        raise BadLineError(
            "bad_id", f"id is longer than {LONGEST_ID} or holds control characters: {shown(name)}"
        )
    return name


def turns(value: object) -> tuple[str, ...]:
    """Previous turns: a list of texts, the same as JSON text, or one text.

    Raises:
        BadLineError: ``bad_type``, ``bad_json`` or ``not_unicode``.
    """
    if is_missing(value):
        return ()
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = parse_cell(value, "context")
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        raise BadLineError("bad_type", f"context is not a list of texts: {shown(value)}")
    return tuple(as_text(turn, "context") for turn in value)


def votes(value: object, labels: LabelSet, other_labels: Collection[str]) -> tuple[Vote, ...]:
    """Votes as written in a manifest; the words stay as the annotators gave them.

    Args:
        value: a list of labels or of ``{annotator, labels, typed}``, the same as JSON text or as
            Python prints it, labels with ``|`` between them, or an object from label to whole
            number of votes. What stands for none, such as ``nan``, is no vote.
        labels: the label set.
        other_labels: lower-case words that are no labels of the set and still allowed.

    Raises:
        BadLineError: ``unknown_label``, ``bad_type``, ``bad_json`` or ``not_unicode``.
    """
    if is_missing(value):
        return ()
    if isinstance(value, str):
        is_json = value.lstrip().startswith(("[", "{"))
        value = parse_cell(value, "votes") if is_json else value.split("|")
    if isinstance(value, dict):
        value = [word for word, count in value.items() for _ in range(_count(count))]
    if not isinstance(value, list):
        raise BadLineError("bad_type", f"votes is not a list: {shown(value)}")

    def is_label(word: str) -> bool:
        return labels.index(word) is not None or word.lower() in other_labels

    def is_none(word: object) -> bool:
        """Whether a word stands for no label; ``None`` may be one, if the label set says so."""
        if isinstance(word, str):
            return is_missing_text(word) and not is_label(word.strip())
        if isinstance(word, dict) and word.keys() <= {"annotator", "labels"}:  # a table's row
            words = word.get("labels")
            return isinstance(words, list) and bool(words) and all(map(is_none, words))
        return is_missing(word)

    parsed = tuple(
        _vote(judgement, number, is_none)
        for number, judgement in enumerate(value, start=1)
        if not is_none(judgement)
    )
    for word in (word for vote in parsed for word in vote.labels):
        if not is_label(word):
            raise BadLineError(
                "unknown_label",
                f"votes: {shown(word)} is none of {', '.join(labels.names)}; name it in the "
                "reader's option other_labels, and it does not count, or in votes.merge (--merge "
                "word=label), or take another label set",
            )
    return parsed


def _count(value: object) -> int:
    count = 0 if is_missing(value) else whole_number(value)
    if count is None or not 0 <= count <= _MOST_VOTES:
        raise BadLineError("bad_type", f"votes: {shown(value)} is not a number of votes")
    return count


def _vote(value: object, number: int, is_none: Callable[[object], bool]) -> Vote:
    """A vote; an annotator without a name is named by the vote's position."""
    if not isinstance(value, dict):
        return Vote(str(number), (as_text(value, "votes"),))
    words = value.get("labels", value.get("label"))
    words = words if isinstance(words, list) else [words]
    return Vote(
        annotator=optional_text(value, "annotator") or str(number),
        labels=tuple(as_text(word, "votes") for word in words if not is_none(word)),
        typed=optional_text(value, "typed"),
        arousal=rating(value.get("arousal"), "arousal"),
        valence=rating(value.get("valence"), "valence"),
        dominance=rating(value.get("dominance"), "dominance"),
    )


_DECIMAL_COMMA = re.compile(r"-?\d+,\d+")


def rating(value: object, field: str) -> float | None:
    """A rating on a scale; blank, null, ``NaN`` and ``NA`` occur and are none.

    Raises:
        BadLineError: ``bad_number`` for what is neither.
    """
    if value is None or str(value).strip().lower() in ("", "na", "nan", "none"):
        return None
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError(f"a {type(value).__name__}")
        if isinstance(value, str) and _DECIMAL_COMMA.fullmatch(value.strip()):
            value = value.replace(",", ".")
        number = float(value)
    except (ValueError, OverflowError) as error:
        raise BadLineError("bad_number", f"{field} is not a rating: {shown(value)}") from error
    return number if math.isfinite(number) else None


def shares(value: object, labels: LabelSet) -> tuple[float, ...] | None:
    """A soft label as written in a manifest, normalised to sum 1, which rounding may have missed.

    Args:
        value: an object from label to share, a list in the label set's order, or either as JSON or
            as Python prints it.
        labels: the label set.

    Raises:
        BadLineError: ``bad_soft_label``, ``unknown_label`` or ``bad_json``.
    """
    if is_missing(value):
        return None
    if isinstance(value, str):
        value = parse_cell(value, "soft_label")
    if isinstance(value, dict):
        numbers = _aligned(value.items(), labels)
    elif isinstance(value, list) and len(value) == len(labels):
        numbers = [_share(share) for share in value]
    else:
        raise BadLineError(
            "bad_soft_label", f"soft_label is no list of {len(labels)} shares: {shown(value)}"
        )
    total = math.fsum(numbers)
    if abs(total - 1) > max(SUM_TOLERANCE, _rounding(numbers)) or not total:
        raise BadLineError("bad_soft_label", f"soft_label sums to {total:.6g}: {shown(value)}")
    return tuple(number / total for number in numbers)


def _rounding(numbers: Sequence[float]) -> float:
    """Most by which a sum of rounded shares can miss 1: a unit of the last digit of each."""
    digits = [max(2, -int(Decimal(repr(number)).as_tuple().exponent)) for number in numbers]
    return 10.0 ** -max(digits) * sum(number > 0 for number in numbers) * (1 + 1e-9)


def _aligned(items: Iterable[tuple[str, object]], labels: LabelSet) -> list[float]:
    numbers = [0.0] * len(labels)
    for word, value in items:
        index = labels.index(word)
        if index is None:
            raise BadLineError(
                "unknown_label", f"soft_label: {shown(word)} is none of {', '.join(labels.names)}"
            )
        numbers[index] += 0.0 if is_missing(value) else _share(value)
    return numbers


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 2:
        raise BadLineError("bad_soft_label", f"soft_label: {shown(value)} is not a share")
    return float(value)
