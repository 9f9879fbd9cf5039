"""Schemas of the tables of a classify job; see :mod:`raypipe.store.schemas`."""

from __future__ import annotations

import pyarrow as pa

ANSWERS = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("system", pa.string(), nullable=False),
        pa.field("form", pa.string(), nullable=False),  # open or closed
        pa.field("utterance_id", pa.string(), nullable=False),
        pa.field("dataset", pa.string(), nullable=False),
        ("split", pa.string()),
        ("speaker", pa.string()),
        ("reference", pa.string()),  # the plurality; null for a tie or without votes
        ("votes_union", pa.list_(pa.string())),
        pa.field("majority", pa.bool_(), nullable=False),  # one label has more than half
        ("text", pa.string()),  # what the model wrote; null where it did not answer
        ("transcript", pa.string()),  # what it heard
        ("reason", pa.string()),
        ("faults", pa.list_(pa.string())),  # of the parts, such as "reason: missing"
        ("phrase", pa.string()),  # the emotion in the answer's own words
        pa.field("extracted_by", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),  # of the label set, or other
        pa.field("grouped_by", pa.string(), nullable=False),
        ("fault", pa.string()),  # why no emotion was read
        ("words", pa.int32()),  # of the reference transcript; null without one
        ("substitutions", pa.int32()),
        ("deletions", pa.int32()),
        ("insertions", pa.int32()),
    ]
)
"""One row per system, form and utterance."""

TABLE1 = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("system", pa.string(), nullable=False),
        pa.field("form", pa.string(), nullable=False),  # open or closed
        pa.field("subset", pa.string(), nullable=False),  # all, or majority: agreement > 0.5
        pa.field("scoring", pa.string(), nullable=False),  # mv, or any annotator
        ("macro_f1", pa.float64()),
        ("low", pa.float64()),  # of a 95 % interval
        ("high", pa.float64()),
        pa.field("n", pa.int64(), nullable=False),  # utterances that count
        pa.field("other", pa.int64(), nullable=False),  # of them, without a label of the set
        ("against", pa.string()),
        ("difference", pa.float64()),
        ("difference_low", pa.float64()),
        ("difference_high", pa.float64()),
        ("p_value", pa.float64()),
        pa.field("starred", pa.bool_(), nullable=False),
    ]
)
"""One row per cell of Table 1 of explainable_speechlm."""
