"""A cell of the chaos suite: its places, its command, and what becomes of that under its faults."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from chaos_cells import Cell
from chaos_commands import ChaosCommand, ChaosInput
from chaos_faults import NODE_JOINS, STARTS_AGAIN, STOPS, Fault
from chaos_harm import StoredObject, stored
from chaos_table import Struck
from chaos_world import NODE, Processes, World
from faulted import Faulted, command
from ray.cluster_utils import Cluster
from s3_server import S3Server

from raypipe.store.location import Location
from raypipe.store.run_record import RECORD, read_record

_STOPPED = re.compile(r"stopped( at \d+ of \d+ \w+)?; the same command continues$")
_DUMPS = ("Traceback", "*** SIG", "Stack trace", "Aborted!")
_NO_RAY = "127.0.0.1:1"
"""Where no cluster is: what asks a model there ends with an error."""

_MANY = 6
"""Faults that are not sure to strike all within some seconds."""

# A node that does not answer is given up after some ten seconds instead of a minute.
_HEALTH = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 2000,
    "health_check_timeout_ms": 2000,
    "health_check_failure_threshold": 3,
}


def command_of(cell: Cell) -> ChaosCommand:
    """The command that a cell strikes: slow enough that work is left for its last fault."""
    pause_s = 1.0 if len(cell.faults) > _MANY else 0.25
    return ChaosCommand(cell.command, cell.engine, 2.0 if NODE_JOINS in cell.faults else pause_s)


class Scene:
    """A cell under way; in the end nothing of it is left but what it wrote.

    Args:
        cell: what happens.
        folder: for its files.
        environment: of its processes.
        mark: by which these are known.
        given: what commands read.
        source: the run that a reaggregation reads.
        storage: S3 server; None for a disk.
        disk: a small one that holds the output; None for the folder.
    """

    def __init__(
        self,
        cell: Cell,
        folder: Path,
        environment: dict[str, str],
        mark: str,
        given: ChaosInput,
        source: Location | None,
        storage: S3Server | None,
        disk: Path | None,
    ) -> None:
        self.cell, self.command = cell, command_of(cell)
        self._folder, self._environment = folder, dict(environment)
        self._given, self._source, self._storage = given, source, storage
        self._client: Any = None if storage is None else storage.client()
        self._bucket = f"chaos-{cell.seed:08x}"
        place = Location.parse(str(disk or folder))
        if storage is not None:
            self._environment |= storage.environment
            place = Location.parse(f"s3://{self._bucket}", storage.endpoint)
        self._place, self.output = place, place.child("out")
        self.processes = Processes(mark)
        self.world = World(
            random.Random(cell.seed), self.processes, self._start, storage, disk=disk
        )
        self._starts, self._stack = 0, ExitStack()
        self._arguments: list[object] = []

    def __enter__(self) -> Self:
        if self._client is not None:
            self._client.create_bucket(Bucket=self._bucket)
        if self.cell.nodes == 2:
            self._environment["RAY_AUTH_MODE"] = "disabled"
            self._environment["RAYPIPE_INSECURE"] = "1"
            head = {**NODE, "include_dashboard": False, "_system_config": _HEALTH}
            self.world.cluster = Cluster(initialize_head=True, head_node_args=head)
            self._stack.callback(self._shut_down)
            if NODE_JOINS not in self.cell.faults:
                self.world.cluster.add_node(**NODE)
        self._stack.callback(self.world.let_go)
        self._arguments = self.command.arguments(
            self._folder, self._given, self._there(), self.output
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _shut_down(self) -> None:
        if self.world.cluster is not None:
            self.world.cluster.shutdown()

    def _there(self) -> Location | None:
        """What the command reads, in the cell's storage; None for a manifest."""
        source = self._source
        if self.cell.command == "run":
            source = Location.parse(str(self._given.shards))
        if source is None or self._storage is None:
            return source
        copy = self._place.child("source")
        for name, item in stored(source, None).items():
            copy.write(name, item.data)
        return copy

    def _start(self, *more: object) -> Faulted:
        self._starts += 1
        folder = self._folder / str(self._starts)
        folder.mkdir()
        if self.world.cluster is not None:
            more = ("--address", self.world.cluster.address, *more)
        started = command(folder, self._environment, *self._arguments, *more)
        return self._stack.enter_context(started)

    def struck(self) -> list[Struck]:
        """Carry the command out under its faults; what became of each."""
        struck: list[Struck] = []
        told: list[tuple[Fault, Faulted]] = []
        run = self._start()
        for fault, part in zip(self.cell.faults, self._moments(), strict=True):
            restarts = sum(by is run and before.says == STARTS_AGAIN for before, by in told)
            while not run.reaches(partial(self._is_due, part, run, restarts)):
                run = self._once_more(run, struck)
            time.sleep(self.world.random.uniform(0.0, self.command.pause_s))
            fault.strike(self.world, run)
            struck.append(Struck(fault, fault.goes_on))
            told.append((fault, run))
            if not fault.goes_on:
                self._check_end(fault, run)
                fault.mend(self.world)
                run = self._start()
        while run.ended():
            run = self._once_more(run, struck)
        for other in self.world.others:
            assert other.ended() == 0, other.said
        for fault, by in told:
            assert (fault.says or "") in by.said, by.said
            assert "Traceback" not in by.said, by.said
        return struck

    def _is_due(self, part: int, run: Faulted, restarts: int) -> bool:
        """Whether a command is under way, after its own restarts too, and so much is done."""
        said = run.log.read_text(errors="replace").split(STARTS_AGAIN)
        return (
            len(said) > restarts
            and " done, " in said[-1]
            and self.command.done(self.output) >= part
        )

    def _moments(self) -> list[int]:
        """Number of parts that are written when a fault strikes, for each."""
        last = self.command.parts * 2 // 3
        return sorted(self.world.random.sample(range(1, last), len(self.cell.faults)))

    def _once_more(self, run: Faulted, struck: list[Struck]) -> Faulted:
        """The same command again, after one that did not go on by itself."""
        ended = f"exit code {run.ended()}: {run.said}"
        assert struck, f"it ended before anything happened with {ended}"
        assert struck[-1].went_on, f"it does not go on after {struck[-1].fault.name}: {ended}"
        print(f"after {struck[-1].fault.name}: {ended}")
        struck[-1] = Struck(struck[-1].fault, went_on=False)
        return self._start()

    def _check_end(self, fault: Fault, run: Faulted) -> None:
        """A command that ends says why in a line; one that is told to, in its record, too."""
        assert run.ended() == fault.exit_code, run.said
        for dump in _DUMPS:
            assert dump not in run.said, run.said
        if fault.says == STOPS:
            assert _STOPPED.search(run.said), run.said
        if fault.is_recorded and self.output.exists(RECORD):
            record = read_record(self.output)
            assert record.status == "stopped"
            assert run.said.endswith(record.reason or "no reason")

    def stored(self) -> dict[str, StoredObject]:
        """All that it has written."""
        return stored(self.output, self._client)

    def check_again(self) -> None:
        """The same command again has nothing to ask: but for an ingest, it does without Ray."""
        more = () if self.cell.command == "ingest" else ("--address", _NO_RAY)
        run = self._start(*more)
        assert run.ended() == 0, run.said

    def unfinished_uploads(self) -> list[Any]:
        """Uploads in parts that nobody has ended."""
        if self._client is None:
            return []
        return list(self._client.list_multipart_uploads(Bucket=self._bucket).get("Uploads", []))


Scenes = Callable[[Cell], Scene]
