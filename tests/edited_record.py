"""``run.json`` as a test changes it: as if it had been written so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raypipe.store.run_record import RECORD
from raypipe.store.sealed_json import opened_json, sealed_json


def record_of(folder: Path) -> dict[str, Any]:
    """What the record in a folder says."""
    document: dict[str, Any] = opened_json((folder / RECORD).read_bytes(), RECORD)
    return document


def write_record_of(folder: Path, document: dict[str, Any]) -> None:
    """Another record in its place."""
    (folder / RECORD).write_bytes(sealed_json(document))
