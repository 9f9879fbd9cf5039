"""How far a run is, from its output alone, and so from anywhere that reaches the storage."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from raypipe.engines.engine import Usage
from raypipe.engines.openai.usage import ACCOUNTS, read_usage
from raypipe.errors import RaypipeError
from raypipe.shards import read_index
from raypipe.shards.index import ShardIndex
from raypipe.store.location import Location
from raypipe.store.run_record import RunRecord, read_record

RECENT_S: Final = 600.0
"""Seconds before the last object that the rate is taken over."""
QUIET_S: Final = 900.0
"""Seconds without a new object after which a run that is ``running`` may be none any more."""

STUCK_S: Final = 60.0
STUCK_SHARDS: Final = 10.0
"""Time of so many shards without one, after which what they took says nothing of what is left."""


@dataclass(frozen=True, slots=True)
class CellProgress:
    """How far one model is with one prompt.

    Attributes:
        shards: with predictions.
        utterances: in them; None where the corpus cannot be read from here.
    """

    model: str
    prompt: str
    shards: int
    utterances: int | None


@dataclass(frozen=True, slots=True)
class RunProgressFacts:
    """How far a run is.

    Attributes:
        record: what ``run.json`` says.
        cells: models and prompts that have predictions, by name.
        shards: in the run; None where the corpus cannot be read from here.
        utterances: in them.
        corpus_fault: why the corpus cannot be read from here; None if it can.
        quiet_s: seconds since the last object was written, by the storage's clock and this one's.
        shards_per_s: of all cells together, over the last :data:`RECENT_S` seconds in which
            objects were written; None for fewer than three of them.
        usage: what all attempts have asked services for up to now, or up to the last account that
            an engine wrote, every 25 requests; None for a run that asks none.
    """

    record: RunRecord
    cells: tuple[CellProgress, ...]
    shards: int | None
    utterances: int | None
    corpus_fault: str | None
    quiet_s: float
    shards_per_s: float | None
    usage: Usage | None

    @property
    def may_be_dead(self) -> bool:
        """Whether the record says ``running`` and nothing has come for long."""
        return self.record.status == "running" and self.quiet_s > QUIET_S

    @property
    def is_stuck(self) -> bool:
        """Whether what is running has become far slower than it was, if it is at work at all."""
        if not self.shards_per_s or self.record.status != "running" or self.left == 0:
            return False
        return self.quiet_s > max(STUCK_S, STUCK_SHARDS / self.shards_per_s)

    @property
    def left(self) -> int | None:
        """Shards of the begun models and prompts that are not done; None where nothing tells."""
        if self.shards is None:
            return None
        return sum(self.shards - cell.shards for cell in self.cells)

    @property
    def left_s(self) -> float | None:
        """Seconds until the begun models and prompts are done; None where nothing tells."""
        if self.left is None or not self.shards_per_s or self.record.status != "running":
            return None
        return None if self.is_stuck else self.left / self.shards_per_s


def run_progress(tables: Location, endpoint: str | None = None) -> RunProgressFacts:
    """What an output tells of its run.

    Its objects are listed; read are only ``run.json`` and, of engines that ask services, accounts.

    Args:
        tables: the output.
        endpoint: of the storage that the corpus is in; None for the output's.

    Raises:
        ObjectMissingError: if no run is there.
        StoreError: if the storage refuses.
    """
    record = read_record(tables)
    written = tables.written()
    index, fault = _index(record, endpoint or tables.endpoint)
    rows = None
    if index is not None:
        limit = record.config["input"].get("limit")
        rows = {entry.name: take for entry, take in index.first(limit)}
    done: dict[tuple[str, str], list[str]] = defaultdict(list)
    times: list[float] = []
    for name, at in written.items():
        table, *parts = name.split("/", 3)
        if table == "predictions" and len(parts) == 3:
            model, prompt = (unquote(folder.partition("=")[2]) for folder in parts[:2])
            done[model, prompt].append(parts[2])
            times.append(at)
    cells = tuple(
        CellProgress(
            model,
            prompt,
            len(names),
            None if rows is None else sum(rows.get(name, 0) for name in names),
        )
        for (model, prompt), names in sorted(done.items())
    )
    return RunProgressFacts(
        record,
        cells,
        None if rows is None else len(rows),
        None if rows is None else sum(rows.values()),
        fault,
        max(0.0, time.time() - max(written.values())),
        _rate(times),
        _usage(tables, written),
    )


def _usage(tables: Location, names: Iterable[str]) -> Usage | None:
    """The sum of the accounts in an output."""
    has_accounts = any(name.startswith(f"{ACCOUNTS}/") for name in names)
    return read_usage(tables.child(ACCOUNTS)) if has_accounts else None


def _index(record: RunRecord, endpoint: str | None) -> tuple[ShardIndex | None, str | None]:
    """The corpus of a run, or why it cannot be read from here."""
    section = record.config.get("input")
    place = section.get("shards") if isinstance(section, Mapping) else None
    if not isinstance(place, str):
        return None, "run.json names no shards"
    try:
        return read_index(Location.parse(place, endpoint)), None
    except RaypipeError as error:
        return None, str(error)


def _rate(times: list[float]) -> float | None:
    """Objects per second, over the last of them."""
    last = max(times, default=0.0)
    recent = [at for at in times if at > last - RECENT_S]
    if len(recent) < 3 or min(recent) == last:
        return None
    return (len(recent) - 1) / (last - min(recent))
