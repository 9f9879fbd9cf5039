"""What corpora tell of an utterance beside its labels: gender, age, session and the like.

A fact is text under a name. Adapters name what is the same alike, so that corpora can be sliced
together; users' own data keep the names of their columns.
"""

from __future__ import annotations

from collections.abc import Mapping

from raypipe.corpora.field_names import is_missing, is_missing_text, unused_names

_GENDERS = {"f": "female", "female": "female", "m": "male", "male": "male"}
_UNKNOWN = frozenset({"", "unknown", "na", "nan", "n/a", "none"})
LONGEST_FACT = 200
"""Characters of a text that is still a fact of an utterance."""


def facts_of(**values: str | None) -> dict[str, str]:
    """Facts by name, without those that are not known.

    Example:
        >>> facts_of(gender=gender("M"), age="31", race=None)
        {'gender': 'male', 'age': '31'}
    """
    return {name: value for name, value in values.items() if value}


def gender(word: str | None) -> str | None:
    """A gender as all corpora here write it; None where the corpus does not say.

    Example:
        >>> gender("Female"), gender("M"), gender("Unknown"), gender(" Non-binary ")
        ('female', 'male', None, 'non-binary')
    """
    clean = (word or "").strip().lower()
    return None if clean in _UNKNOWN else _GENDERS.get(clean, clean)


def other_columns(fields: Mapping[str, object]) -> dict[str, str]:
    """The columns of a row of users' own data that nothing else is read from, as facts.

    Short texts, numbers, true and false are; blank cells, lists and long texts are not.

    Example:
        >>> other_columns({"id": "a", "gender": "f", "age": 31.0, "noisy": True, "tags": ["x"]})
        {'gender': 'f', 'age': '31', 'noisy': 'true'}
    """
    texts = {name: _text(fields[name]) for name in unused_names([fields]) if name.isprintable()}
    return facts_of(**{name: text for name, text in texts.items() if name.strip()})


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float) and not is_missing(value):
        return str(int(value)) if value == value // 1 and abs(value) < 1e15 else repr(value)
    if not isinstance(value, str) or is_missing_text(value) or len(value) > LONGEST_FACT:
        return None
    return value.strip() if value.strip().isprintable() else None
