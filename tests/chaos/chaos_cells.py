"""The chaos suite as one table: which faults strike which command where.

Tests derive from it, and the table that they measure: ``--chaos-table FILE``.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Literal

from chaos_faults import (
    COMMIT,
    CTRL_C,
    DISK_FULL,
    DRIVER,
    ENGINE,
    ENGINE_ACTOR,
    GCS,
    HEAD,
    INGEST_TASK,
    NODE_JOINS,
    NODE_KILLED,
    NODE_SILENT,
    PREPARE,
    RAYLET,
    REAGGREGATE_TASK,
    S3_5,
    S3_15,
    S3_60,
    SECOND_DRIVER,
    SIGTERM,
    Fault,
)

Command = Literal["run", "ingest", "reaggregate"]
Store = Literal["local", "S3"]
Engine = Literal["instant", "tiny-alm"]


@dataclass(frozen=True)
class Cell:
    """A command that is struck by some faults, one after another.

    Attributes:
        faults: in their order; one that ends the command is followed by the same command again.
        store: of shards and tables.
        engine: of a run, and of the run that is read again.
        nodes: 1 for a Ray of the command's own, 2 for a cluster that is there before.
        in_ci: whether it is a part of every test run.
    """

    command: Command
    faults: tuple[Fault, ...]
    store: Store = "local"
    engine: Engine = "instant"
    nodes: Literal[1, 2] = 1
    in_ci: bool = False

    @property
    def name(self) -> str:
        """What it is called in the test's own name."""
        struck = ", ".join(fault.name for fault in self.faults)
        where = f"{self.store} {self.engine}" + (" two nodes" if self.nodes == 2 else "")
        return f"{self.command} {where}: {struck}"

    @property
    def seed(self) -> int:
        """Of its moments."""
        return zlib.crc32(self.name.encode())


_WORKERS = (PREPARE, ENGINE, COMMIT, ENGINE_ACTOR)
_OWN_RAY = (RAYLET, GCS)
_ENDS = (SIGTERM, DRIVER, CTRL_C)

# Many faults for one start of Ray, which takes longer than they do.
CELLS = (
    Cell("run", (SIGTERM,), in_ci=True),
    Cell("run", (S3_15,), "S3", in_ci=True),
    Cell("run", (NODE_KILLED,), nodes=2),
    Cell("run", (*_WORKERS, *_OWN_RAY, *_ENDS, DISK_FULL, SECOND_DRIVER)),
    Cell("run", (*_WORKERS, *_OWN_RAY, *_ENDS, S3_5, S3_60, SECOND_DRIVER), "S3"),
    Cell("run", (NODE_JOINS, NODE_SILENT, HEAD), nodes=2),
    Cell("run", (S3_15, COMMIT, NODE_KILLED), "S3", nodes=2),
    Cell("run", (ENGINE, COMMIT, ENGINE_ACTOR, SIGTERM, DRIVER), engine="tiny-alm"),
    Cell("run", (S3_15, NODE_SILENT), "S3", "tiny-alm", nodes=2),
    Cell("ingest", (INGEST_TASK, *_OWN_RAY, *_ENDS)),
    Cell("ingest", (INGEST_TASK, S3_60, *_OWN_RAY, *_ENDS), "S3"),
    Cell("ingest", (NODE_KILLED,), nodes=2),
    Cell("reaggregate", (REAGGREGATE_TASK, RAYLET, SIGTERM, DRIVER)),
    Cell("reaggregate", (REAGGREGATE_TASK, S3_15, CTRL_C, GCS), "S3"),
    Cell("reaggregate", (REAGGREGATE_TASK, NODE_KILLED), nodes=2),
)
