"""Schemas of the tables that only a judge job writes; see :mod:`raypipe.store.schemas`."""

from __future__ import annotations

import pyarrow as pa

JUDGEMENTS = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("utterance_id", pa.string(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        ("speaker", pa.string()),
        pa.field("label", pa.string(), nullable=False),  # that both systems predicted
        pa.field("first", pa.string(), nullable=False),  # name of the first system
        pa.field("second", pa.string(), nullable=False),
        pa.field("first_reason", pa.string(), nullable=False),
        pa.field("second_reason", pa.string(), nullable=False),
        ("transcript", pa.string()),  # as the judge was shown it
        pa.field("first_is_a", pa.bool_(), nullable=False),  # in the question that was asked first
        ("first_as_a", pa.string()),  # A, B or tie with the first system as A; null if unreadable
        ("second_as_a", pa.string()),
        pa.field("first_as_a_text", pa.string(), nullable=False),  # the judge's answer
        pa.field("second_as_a_text", pa.string(), nullable=False),
        ("consistent", pa.bool_()),  # both verdicts say the same of the systems
        ("win", pa.float64()),  # 1, 0 or a half for the first system
        pa.field("prompt_hash", pa.string(), nullable=False),
    ]
)
"""A judge's verdicts: one row per pair of reasons, each asked about with either as A."""

_ESTIMATES = [
    (f"{name}{part}", pa.float64())
    for name in ("win_rate", "position_bias", "inconsistency")
    for part in ("", "_low", "_high")
]

WIN_RATES = pa.schema(
    [
        pa.field("group", pa.string(), nullable=False),  # overall, or a label
        pa.field("first", pa.string(), nullable=False),
        pa.field("second", pa.string(), nullable=False),
        *(
            pa.field(name, pa.int64(), nullable=False)
            for name in (
                *("pairs", "speakers", "decided", "wins", "losses"),
                *("ties", "inconsistent", "invalid"),
            )
        ),
        *_ESTIMATES,
    ]
)
"""What the verdicts come to, see :class:`raypipe.explain.judge.statistics.JudgeTally`."""
