"""Channel of a recording that is the clip, as rows of users' own data name it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from raypipe.corpora.bad_line import BadLineError, shown
from raypipe.corpora.field_names import is_missing, is_missing_text, whole_number

_MIX = ("mix", "mean", "average", "all")
_WORDS = {"left": 0, "l": 0, "a": 0, "right": 1, "r": 1, "b": 1}
"""Names of the two channels, as of a telephone call."""

_NUMBER = re.compile(r"[+-]?\d+(?:\.0*)?")

Channels = tuple[int, ...] | str | None
"""Channels, counted from 0; a name that is none of a channel; None for the mix of all."""


def named_channels(fields: Mapping[str, object], usual: int | None) -> Channels:
    """Channels that a row names; the usual one where it names none.

    Args:
        fields: of the row, of which ``channel`` counts, else ``channel_selector``.
        usual: channel of rows that name none; None for the mix.

    Returns:
        A name that is none of a channel may be about something else, such as a telephone line: it
        does no harm where the recording has one channel.

    Raises:
        BadLineError: ``bad_type`` for a number that is none of a channel.
    """
    value = fields.get("channel", fields.get("channel_selector"))
    if is_missing(value) or (isinstance(value, str) and is_missing_text(value)):
        return None if usual is None else (usual,)
    if isinstance(value, str):
        text = value.strip()
        if text.lower() in _MIX:
            return None
        numbers = [_number_or_name(part) for part in re.split(r"[|,]", text.strip("[]()"))]
        value = [number for number in numbers if isinstance(number, int)]
        if len(value) < len(numbers):
            return text
    return channel_numbers(value)


def channel_numbers(value: object) -> tuple[int, ...]:
    """One or more numbers of channels.

    Raises:
        BadLineError: ``bad_type`` for what is none, or negative.
    """
    values = value if isinstance(value, list) else [value]
    numbers = [whole_number(number) for number in values]
    known = tuple(number for number in numbers if number is not None)
    if not known or len(known) < len(numbers):
        raise BadLineError("bad_type", f"channel is no number of a channel: {shown(value)}")
    if min(known) < 0:
        raise BadLineError("bad_type", f"channel is counted from 0: {shown(value)}")
    return known


def _number_or_name(text: str) -> int | str:
    word = text.strip()
    if _NUMBER.fullmatch(word):
        return int(word.partition(".")[0])
    return _WORDS.get(word.lower(), word)
