"""The answer that was asked for, read in a tenth of the time: nothing but an object of labels."""

from __future__ import annotations

import json
import math

from raypipe.labels import LabelSet
from raypipe.parsing.settling import distribution
from raypipe.records import Parsed

_DECODER = json.JSONDecoder(object_pairs_hook=list, parse_int=float)


def plain_object(text: str, labels: LabelSet) -> Parsed | None:
    """The distribution of a text that is one JSON object of several labels with finite shares.

    Nothing is left over in it, so that it can have one reading only; None for any other text.
    """
    stripped = text.strip()
    if not stripped.startswith("{") or not stripped.endswith("}"):
        return None
    try:
        pairs = _DECODER.decode(stripped)
    except (ValueError, RecursionError):
        return None
    shares = [0.0] * len(labels)
    named: set[int] = set()
    for key, value in pairs:
        label = labels.index(key)
        if label is None or label in named or not isinstance(value, float):
            return None
        if not math.isfinite(value) or value < 0.0:
            return None
        named.add(label)
        shares[label] = value
    if max(shares) > 1.0 and any(0.0 < share < 1.0 for share in shares):
        return None  # percent beside fractions may have two readings
    return distribution(shares, "json") if len(named) > 1 and any(shares) else None
