"""Faults that strike a command, and how it is to take them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from chaos_world import NODE, World, parent, title
from faulted import Faulted

Strike = Callable[[World, Faulted], object]


@dataclass(frozen=True)
class Fault:
    """Something that happens to a command.

    Attributes:
        name: in the table.
        strike: does it.
        exit_code: with which the command ends; None for one that goes on by itself.
        says: what the command tells of it.
        is_recorded: whether ``run.json`` then says why it has stopped.
        takes_s: longest time that it may cost.
        mend: what a person does before the same command again.
    """

    name: str
    strike: Strike
    exit_code: int | None = None
    says: str | None = None
    is_recorded: bool = False
    takes_s: float = 45.0
    mend: Callable[[World], object] = lambda world: None

    @property
    def goes_on(self) -> bool:
        """Whether the command goes on by itself."""
        return self.exit_code is None


def _kills(*words: str) -> Strike:
    """SIGKILL to a process whose command line has some words."""
    return lambda world, run: world.kill(run, lambda pid: all(word in title(pid) for word in words))


def _kill_child_of(words: str, world: World, run: Faulted) -> None:
    world.kill(run, lambda pid: "serve(*json" in title(pid) and words in title(parent(pid)))


def _signalled(number: signal.Signals) -> Strike:
    return lambda _, run: run.process.send_signal(number)


def _outage(seconds: float, world: World, _: Faulted) -> None:
    assert world.storage is not None
    world.storage.kill()
    time.sleep(seconds)
    world.storage.start()


def _kill_node(world: World, _: Faulted) -> None:
    assert world.cluster is not None
    node = world.node()
    [raylet] = node.all_processes["raylet"]
    raylet.process.kill()
    raylet.process.wait()  # its workers take one that nobody has waited for to be alive
    world.cluster.worker_nodes.discard(node)


def _silence_node(world: World, _: Faulted) -> None:
    for pid in world.node_processes():
        os.kill(pid, signal.SIGSTOP)
        world.silent.append(pid)


def _add_node(world: World, _: Faulted) -> None:
    assert world.cluster is not None
    world.cluster.add_node(**NODE)


def _kill_head(world: World, _: Faulted) -> None:
    assert world.cluster is not None
    os.kill(world.cluster.head_node.all_processes["gcs_server"][0].process.pid, signal.SIGKILL)


def _forget_cluster(world: World) -> None:
    assert world.cluster is not None
    world.cluster.shutdown()
    world.cluster = None


def _fill_disk(world: World, _: Faulted) -> None:
    assert world.disk is not None
    with (world.disk / "filler").open("ab", buffering=0) as filler:
        for size in (1 << 16, 1 << 9, 1):
            with suppress(OSError):
                while True:
                    filler.write(bytes(size))


def _empty_disk(world: World) -> None:
    assert world.disk is not None
    (world.disk / "filler").unlink()


STARTS_AGAIN = "the local Ray has died; it is started again to go on"
_WAITS = "waiting for storage ("
STOPS = "; the same command continues"
"""What a command says that is told to stop."""

ENGINE = Fault("SIGKILL engine's process", partial(_kill_child_of, "EngineStage"))
ENGINE_ACTOR = Fault("SIGKILL engine actor", _kills("ray::", "EngineStage"))
PREPARE = Fault("SIGKILL prepare worker", _kills("ray::", "PrepareStage"))
COMMIT = Fault("SIGKILL commit worker", _kills("ray::", "commit_batch"))
INGEST_TASK = Fault("SIGKILL task", _kills("ray::", "_write_part"))
REAGGREGATE_TASK = Fault("SIGKILL task", _kills("ray::", "reaggregate_part"))
RAYLET = Fault("SIGKILL raylet of its own Ray", _kills("raylet/raylet "), says=STARTS_AGAIN)
GCS = Fault("SIGKILL GCS of its own Ray", _kills("gcs/gcs_server "), says=STARTS_AGAIN)
DRIVER = Fault("SIGKILL driver", _signalled(signal.SIGKILL), -signal.SIGKILL)
SIGTERM = Fault("SIGTERM", _signalled(signal.SIGTERM), 128 + signal.SIGTERM, STOPS, True)
CTRL_C = Fault("Ctrl-C", _signalled(signal.SIGINT), 128 + signal.SIGINT, STOPS, True)
S3_5 = Fault("S3 down for 5 s", partial(_outage, 5.0), takes_s=50.0)
S3_15 = Fault("S3 down for 15 s", partial(_outage, 15.0), says=_WAITS, takes_s=60.0)
S3_60 = Fault("S3 down for 60 s", partial(_outage, 60.0), says=_WAITS, takes_s=120.0)
NODE_KILLED = Fault("node killed", _kill_node, takes_s=120.0)
NODE_SILENT = Fault("node silent", _silence_node, takes_s=150.0)
NODE_JOINS = Fault(
    "node joins late", _add_node, says="there is room for 1 more model actors", takes_s=60.0
)
HEAD = Fault(
    "head of a cluster killed",
    _kill_head,
    1,
    "the same command continues once it is back",
    is_recorded=True,
    takes_s=120.0,
    mend=_forget_cluster,
)
DISK_FULL = Fault("disk full", _fill_disk, 1, "No space left on device", mend=_empty_disk)
SECOND_DRIVER = Fault(
    "two drivers on one output", lambda world, _: world.others.append(world.start())
)
