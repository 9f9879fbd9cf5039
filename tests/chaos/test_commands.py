"""A command that is told to stop, or whose own Ray is killed under it."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest
from faulted import Faulted, command, run_config

from raypipe.store.location import Location
from raypipe.store.run_record import read_record

PAUSE_S = 1.0


def predictions(output: Path) -> int:
    return len(list(output.glob("predictions/**/*.parquet")))


def tables(output: Path) -> dict[str, bytes]:
    place = Location.parse(str(output))
    return {name: place.read(name) for name in place.list(".parquet")}


def named(run: Faulted, name: str) -> psutil.Process:
    """The one process below the command with a name."""
    children = psutil.Process(run.process.pid).children(recursive=True)
    (found,) = [child for child in children if child.name() == name]
    return found


SLOW = pytest.mark.slow


@SLOW
@pytest.mark.parametrize("name", ["gcs_server", "raylet"])
def test_a_run_whose_own_ray_is_killed_starts_it_again(
    chaos_shards: Path,
    calm: dict[str, bytes],
    environment: dict[str, str],
    tmp_path: Path,
    name: str,
) -> None:
    output = tmp_path / "out"
    config = run_config(tmp_path, chaos_shards, output, pause_s=PAUSE_S)
    with command(tmp_path, environment, "run", config) as run:
        run.wait_for(lambda: predictions(output) >= 2)
        named(run, name).kill()
        assert run.ended() == 0, run.said
        assert "the local Ray has died; it is started again to go on" in run.said
    assert tables(output) == calm


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=SLOW)])
def test_a_run_that_is_told_to_stop_says_how_far_it_is(
    chaos_shards: Path,
    calm: dict[str, bytes],
    environment: dict[str, str],
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    output = tmp_path / "out"
    config = run_config(tmp_path, chaos_shards, output, pause_s=PAUSE_S)
    with command(tmp_path, environment, "run", config) as run:
        run.wait_for(lambda: predictions(output) >= 2)
        run.process.send_signal(number)
        assert run.ended() == 128 + number, run.said
        said = run.said
    record = read_record(Location.parse(str(output)))
    assert record.status == "stopped"
    assert record.reason is not None
    assert record.reason.endswith(" of 48 utterances; the same command continues")
    assert said.endswith(record.reason)
    for dump in ("Traceback", "*** SIG", "Stack trace", "Aborted!"):
        assert dump not in said
    config = run_config(tmp_path, chaos_shards, output, pause_s=0.0)
    with command(tmp_path, environment, "run", config) as again:
        assert again.ended() == 0, again.said
    assert tables(output) == calm
