"""Schema of the tables that only a rationale job writes; see :mod:`raypipe.store.schemas`."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

Purpose = Literal["train", "test_ii"]
"""What rationales are for: to be trained on, or to be shown to raters of Test II only."""

RATIONALE_TABLES: dict[Purpose, str] = {
    "train": "rationales",
    "test_ii": "rationales_test_ii",
}
"""Names of the tables by purpose: what was made of evaluation items is in one of its own."""

RATIONALES = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("utterance_id", pa.string(), nullable=False),
        ("dataset", pa.string()),
        ("split", pa.string()),
        ("speaker", pa.string()),
        pa.field("label", pa.string(), nullable=False),  # gold, shown to the teacher
        ("transcript", pa.string()),
        ("rationale", pa.string()),  # null if no draft kept the rules
        pa.field("tries", pa.int32(), nullable=False),
        ("rejections", pa.list_(pa.string())),  # name of the broken rule, one per refused draft
        ("breaches", pa.list_(pa.string())),  # what broke it
        ("drafts", pa.list_(pa.string())),  # the refused drafts
        pa.field("teacher", pa.string(), nullable=False),
        pa.field("purpose", pa.string(), nullable=False),  # train or test_ii
    ]
)
"""One row per utterance that a teacher was asked about."""
