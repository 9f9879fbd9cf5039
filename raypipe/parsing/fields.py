"""What the keys and values of an object are: truth values, nouns of shares, places, sources."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from raypipe.labels import LabelSet
from raypipe.parsing.loose import Bracket, Pair, Scalar
from raypipe.parsing.vocabulary import COUNTERS, OTHER_NOUNS, SHARE_NOUNS, WEAK_NOUNS, word_set
from raypipe.parsing.words import KeyMeaning, meaning_of

Value = Scalar | Bracket | None

YES: Final = frozenset(("true", "yes", "present"))
_NO: Final = frozenset(
    ("false", "no", "none", "null", "nil", "n/a", "na", "", "-", "absent", "undefined")
)
_NUMBERED_KEY = re.compile(r"([^\W\d]+?)[\s_-]?(\d{1,2})$")
_RANKED_KEY = re.compile(
    r"(?:primary|secondary|tertiary|first|second|third|main|dominant)(?:[\s_]?(?:emotion|label|choice))?$",
    re.IGNORECASE,
)
_RATER_KEY = re.compile(
    r"(?:listener|rater|annotator|judge|coder|voter|participant|evaluator)(?:[\s_]?id)?$",
    re.IGNORECASE,
)
_SUMS: Final = word_set("total sum n k seconds second option options")
NO_NOUN: Final = 99
"""Rank of a key that names no share."""

VOTE_KEYS: Final = word_set("votes ratings annotations listenervotes annotatorvotes uservotes")
"""Keys, joined, of a list with one label per rater."""

SOURCES: Final = word_set(
    "audio voice tone prosody acoustic acoustics speech text words transcript transcription content"
)
"""Keys, joined, of what an emotion is heard in; each may have a distribution of its own."""

PLACES: Final = word_set("segment speaker time start end timestamp turn part clip utterance id")


def joined(key: str) -> str:
    """A key in lower case, without blanks and strokes."""
    return re.sub(r"[\W_]+", "", key).lower()


def noun_rank(key: str) -> int | None:
    """How surely a key of a record names a share; the lower the surer."""
    noun = joined(key)
    if noun in SHARE_NOUNS or noun.rstrip("s") in SHARE_NOUNS:
        return 0
    return 1 + WEAK_NOUNS.index(noun) if noun in WEAK_NOUNS else None


def as_list(value: Value) -> Bracket | None:
    """A list: also an object whose keys number its members, and a string with commas."""
    if isinstance(value, Bracket):
        if not value.has_keys:
            return value
        members = tuple(Pair(None, pair.value) for pair in value.pairs)
        return replace(value, pairs=members) if has_index_keys(value) else None
    if not isinstance(value, Scalar) or not value.quoted or not re.search(r"[,;]\s", value.text):
        return None
    pieces = re.finditer(r"[^,;\s](?:[^,;]|,(?=\d))*", value.text)
    start = value.start + 1
    members = tuple(
        Pair(
            None, Scalar(start + piece.start(), start + piece.end(), piece[0].strip(), quoted=True)
        )
        for piece in pieces
    )
    return Bracket(value.start, value.end, "[", members, closed=True)


def has_index_keys(bracket: Bracket) -> bool:
    """Whether the keys only number the members: 0, 1, 2 or 1, 2, 3."""
    keys = [pair.key.text.strip() if pair.key else "" for pair in bracket.pairs]
    if len(keys) < 2 or not all(key.isdecimal() for key in keys):
        return False
    numbers = [int(key) for key in keys]
    return numbers in (list(range(len(keys))), list(range(1, len(keys) + 1)))


def as_records(bracket: Bracket) -> list[Bracket] | None:
    """Records of ``{"emotion_1": .., "score_1": .., "emotion_2": ..}`` or of ranked members."""
    numbered: dict[str, list[Pair]] = {}
    for pair in bracket.pairs:
        match = _NUMBERED_KEY.match(pair.key.text) if pair.key else None
        if match is not None and pair.key is not None:
            numbered.setdefault(match[2], []).append(
                replace(pair, key=replace(pair.key, text=match[1]))
            )
    groups = list(numbered.values())
    if len(groups) > 1 and all(len(group) == len(groups[0]) > 1 for group in groups):
        return [replace(bracket, pairs=tuple(group)) for group in groups]
    inner = [pair for pair in bracket.pairs if isinstance(pair.value, Bracket)]
    if len(inner) < 2 or not all(pair.key and _RANKED_KEY.match(pair.key.text) for pair in inner):
        return None
    return [pair.value for pair in inner if isinstance(pair.value, Bracket)]


def place_of(bracket: Bracket) -> tuple[tuple[str, str], ...]:
    """Which part of the recording a record says it is about."""
    return tuple(
        (pair.key.text, pair.value.text)
        for pair in bracket.pairs
        if pair.key and joined(pair.key.text) in PLACES and isinstance(pair.value, Scalar)
    )


def votes_of_raters(bracket: Bracket, labels: LabelSet) -> list[Scalar] | None:
    """The label of every rater in ``[{"annotator": 1, "emotion": "sad"}, ...]``."""
    records = [pair.value for pair in bracket.pairs if isinstance(pair.value, Bracket)]
    raters = {
        pair.value.text
        for record in records
        for pair in record.pairs
        if pair.key and _RATER_KEY.match(pair.key.text) and isinstance(pair.value, Scalar)
    }
    if len(raters) < 2 or not len(raters) == len(records) == len(bracket.pairs):
        return None
    names = [
        pair.value
        for record in records
        for pair in record.pairs
        if isinstance(pair.value, Scalar) and meaning_of(pair.value.text, labels).label is not None
    ]
    return names if len(names) == len(records) else None


def without_overridden(bracket: Bracket) -> list[Pair]:
    """The members of an object without fields of text that come again later."""
    texts = [
        pair.key.text if pair.key and isinstance(pair.value, Scalar) else None
        for pair in bracket.pairs
    ]
    repeated = {text for text in texts if text is not None and texts.count(text) > 1}
    if len(repeated) != 1:
        return list(bracket.pairs)  # several repeat together: records without brackets
    last = max(place for place, text in enumerate(texts) if text in repeated)
    return [
        pair
        for place, pair in enumerate(bracket.pairs)
        if texts[place] not in repeated or place == last
    ]


def list_of_votes(pair: Pair) -> Bracket | None:
    """The list of a member with one label per rater; None for any other member."""
    is_list = pair.key is not None and joined(pair.key.text) in VOTE_KEYS
    return pair.value if is_list and isinstance(pair.value, Bracket) else None


def is_measure(key: str) -> bool:
    """Whether numbers under a key measure something about labels: pitch, rank, loss."""
    words = re.findall(r"[^\W\d_]+\d?", key.lower())
    return bool(words) and words[-1] in OTHER_NOUNS - COUNTERS - PLACES - _SUMS | {"rank", "ranks"}


def is_share_of_unknown(pair: Pair, meaning: KeyMeaning) -> bool:
    """Whether a number beside labels is the share of a word that is none of them."""
    assert pair.key is not None
    is_word = meaning.kind == "word" or pair.key.text.strip().lower() in ("other", "others")
    return is_word and not is_truth(pair.value)


def is_nothing(value: Value) -> bool:
    """Whether a value says that there is none of a label."""
    return value is None or (isinstance(value, Scalar) and value.text.strip().lower() in _NO)


def is_truth(value: Value) -> bool:
    """Whether a value is yes or no, or a word for one."""
    return isinstance(value, Scalar) and value.text.strip().lower() in YES | _NO


def is_marked(bracket: Bracket) -> bool:
    """Whether an object says which part of the recording or which speaker it is about."""
    keys = [pair.key.text.strip().lower() for pair in bracket.pairs if pair.key is not None]
    return any(re.sub(r"[\W_]?[\d.]+$", "", key) in PLACES for key in keys)


def spaced(scalar: Scalar) -> list[Scalar]:
    """The words of a string, each with its place: ``0.25 0.75``."""
    return [
        Scalar(scalar.start + match.start(), scalar.start + match.end(), match[0], quoted=False)
        for match in re.finditer(r"\S+", scalar.text)
        if match[0] != "%"
    ]
