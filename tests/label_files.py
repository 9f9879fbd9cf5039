"""Label tables as files, for tests of what takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from in_process import LABELS

from raypipe.store.schemas import labels_metadata


def write_table(path: Path, shares: Mapping[str, Sequence[float]]) -> str:
    """A label table of the labels of in-process runs; its path as a config takes it."""
    rows = {"utterance_id": list(shares), "soft_label": [list(each) for each in shares.values()]}
    schema = pa.schema(
        [("utterance_id", pa.string()), ("soft_label", pa.list_(pa.float64()))],
        metadata=labels_metadata(LABELS),
    )
    pq.write_table(pa.table(rows, schema=schema), path)
    return str(path)


def shares_of(**shares: float) -> tuple[float, ...]:
    """A distribution from the labels that have a share."""
    return tuple(shares.get(name, 0.0) for name in LABELS.names)
