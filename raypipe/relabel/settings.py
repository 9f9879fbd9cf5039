"""How items are put to a language model, and when its answers count."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RelabelSettings:
    """Settings of relabelling.

    Attributes:
        items_per_request: most items in one request (Wu et al.: 30).
        attempts: most requests that an item stands in.
        description_weight: share that the descriptions weigh, the reference the rest (25 %, 75 %).
        reasons: whether a reason is asked for, of 15 to 20 words.
        reference: whether the reference is shown; without it the answer is the description alone.
        sum_tolerance: most that the sum of an answer may differ from 1 before it is normalised.
        flag_shift: total variation between reference and answer above which an item is flagged.
    """

    items_per_request: int = 30
    attempts: int = 3
    description_weight: float = 0.25
    reasons: bool = True
    reference: bool = True
    sum_tolerance: float = 0.02
    flag_shift: float = 0.25
