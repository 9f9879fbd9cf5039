"""Replies of a language model that extracts and groups emotions, read strictly."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from raypipe.labels import LabelSet
from raypipe.parsing.section import find_answer
from raypipe.votes import OTHER

_MOST_WORDS = 5
_JSON = re.compile(r"\{[^{}]*\}", re.DOTALL)


def read_extraction(reply: str, text: str) -> str | None:
    """The emotion that a reply says an answer decides on; None for none.

    Args:
        reply: what the model wrote.
        text: the answer, in whose words the emotion must stand.

    Raises:
        ValueError: saying what is wrong with the reply.
    """
    section = find_answer(reply)
    phrase = reply[section.start : section.end].strip().strip("\"'`*.!").strip().lower()
    if not phrase:
        raise ValueError("it is empty")
    if phrase == "none":
        return None
    if len(phrase.split()) > _MOST_WORDS or "\n" in phrase:
        raise ValueError(f"it is longer than {_MOST_WORDS} words")
    if not set(re.findall(r"\w+", phrase)) <= set(re.findall(r"\w+", text.lower())):
        raise ValueError("its words are not those of the answer")
    return phrase


def read_groups(reply: str, phrases: Sequence[str], labels: LabelSet) -> dict[str, str]:
    """The category of every phrase.

    Args:
        reply: what the model wrote.
        phrases: what it was asked about.
        labels: the categories, beside ``other``.

    Raises:
        ValueError: saying what is wrong with the reply.
    """
    objects = _JSON.findall(reply)
    if not objects:
        raise ValueError("it has no JSON object")
    try:
        groups = json.loads(objects[-1])
    except ValueError as error:
        raise ValueError("its JSON is broken") from error
    missing = [phrase for phrase in phrases if phrase not in groups]
    if missing:
        raise ValueError(f"it leaves out {', '.join(missing[:3])}")
    allowed = (*labels.names, OTHER)
    wrong = {phrase: groups[phrase] for phrase in phrases if groups[phrase] not in allowed}
    if wrong:
        phrase, category = next(iter(wrong.items()))
        raise ValueError(f"{category!r}, given to {phrase}, is no category")
    return {phrase: str(groups[phrase]) for phrase in phrases}
