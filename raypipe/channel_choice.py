"""Setting of which channel of a recording is heard."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator


def _channel(value: object) -> object:
    if value == "mix":
        return value
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("a channel is mix or a number, counted from 0")
    return value


ChannelChoice = Annotated[Literal["mix"] | int, BeforeValidator(_channel)]
"""Channel of a recording that counts, counted from 0, or the mix of all."""
