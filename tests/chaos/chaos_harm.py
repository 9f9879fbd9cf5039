"""What a struck command has left behind, compared with what a calm one has."""

from __future__ import annotations

import io
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from chaos_world import Processes, title
from s3_server import S3Server

from raypipe.store.location import Location

_PROBE = ".raypipe-probe"
"""An object that stays where raypipe has asked S3 what it does with a name that is taken."""

_GONE_S = 60.0


@dataclass(frozen=True)
class StoredObject:
    """An object as it lies there.

    Attributes:
        version: changes when it is written again.
    """

    data: bytes
    version: object


def stored(place: Location, client: Any) -> dict[str, StoredObject]:
    """Every object below a place, hidden and unfinished ones included.

    Args:
        place: of the objects.
        client: of S3; None for a directory.
    """
    if client is None:
        root = Path(place.uri)
        paths = (path for path in sorted(root.rglob("*")) if path.is_file())
        return {
            str(path.relative_to(root)): StoredObject(path.read_bytes(), path.stat().st_mtime_ns)
            for path in paths
        }
    parts = urlsplit(place.uri)
    bucket, prefix = parts.netloc, f"{parts.path.strip('/')}/"
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {
        item["Key"].removeprefix(prefix): StoredObject(
            client.get_object(Bucket=bucket, Key=item["Key"])["Body"].read(),
            (item["ETag"], item["LastModified"]),
        )
        for page in pages
        for item in page.get("Contents", [])
        if item["Key"] != f"{prefix}{_PROBE}"
    }


def tables_of(objects: Mapping[str, StoredObject]) -> dict[str, bytes]:
    return {name: item.data for name, item in objects.items() if name.endswith(".parquet")}


@dataclass(frozen=True)
class Harm:
    """What must not be.

    Attributes:
        lost: utterances that are neither predicted nor an error, by table part.
        twice: those that are there more than once.
        partial: names of objects that do not open, are missing, or that no calm command leaves.
    """

    lost: int = 0
    twice: int = 0
    partial: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """All of it."""
        return self.lost + self.twice + len(self.partial)


def harm(
    found: Mapping[str, StoredObject], calm: Mapping[str, StoredObject], ids: frozenset[str]
) -> Harm:
    """What a struck command has done to its utterances and objects.

    Args:
        found: its objects.
        calm: those of an undisturbed one.
        ids: of the utterances that it was given.
    """
    tables: dict[str, pa.Table] = {}
    unreadable = set()
    for name, data in tables_of(found).items():
        try:
            tables[name] = pq.read_table(io.BytesIO(data), page_checksum_verification=True)
        except (pa.ArrowException, OSError):
            unreadable.add(name)
    lost = twice = 0
    for counts in _by_part(tables):
        lost += len(ids - counts.keys())
        twice += sum(count > 1 for count in counts.values())
    return Harm(lost, twice, tuple(sorted(unreadable | (found.keys() ^ calm.keys()))))


def _by_part(tables: Mapping[str, pa.Table]) -> Iterator[Counter[str]]:
    """How often each utterance is there: for every strategy, or in the shards."""
    predicted: dict[str, Counter[str]] = {}
    failed: Counter[str] = Counter()
    for name, table in tables.items():
        names = table["utterance_id"].to_pylist() if "utterance_id" in table.column_names else []
        if name.startswith("errors/"):
            failed.update(names)
        elif name.startswith("predictions/"):
            for strategy, utterance in zip(table["strategy"].to_pylist(), names, strict=True):
                predicted.setdefault(strategy, Counter())[utterance] += 1
        elif name.startswith("shard-"):
            predicted.setdefault("", Counter()).update(names)
    assert predicted, f"no tables of utterances among {sorted(tables)}"
    for counts in predicted.values():
        yield counts + failed


def leftovers(processes: Processes, storage: S3Server | None) -> list[str]:
    """What still runs of a cell after a while in which it should have ended.

    Args:
        processes: of the cell.
        storage: which was started again meanwhile, and stays.
    """
    stays = None if storage is None or storage.process is None else storage.process.pid
    deadline = time.monotonic() + _GONE_S
    while (left := {*processes.alive()} - {stays}) and time.monotonic() < deadline:
        time.sleep(0.5)
    return [title(pid) for pid in left]


def shared_memory() -> frozenset[str]:
    """Names in ``/dev/shm`` that no process has open or mapped."""
    names = set(os.listdir("/dev/shm"))
    for pid in os.listdir("/proc"):
        try:
            mapped = Path(f"/proc/{pid}/maps").read_text() if pid.isdigit() else ""
        except OSError:
            continue
        names = {name for name in names if f"/dev/shm/{name}" not in mapped}
    return frozenset(names)
