"""Nodes that are lost, fall silent or join late, on a cluster of two nodes on this machine."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from faulted import command, run_config
from ray.cluster_utils import Cluster

CPUS = {"num_cpus": 2, "object_store_memory": 150_000_000}
# A node that does not answer is given up after some ten seconds instead of a minute.
HEALTH = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 2000,
    "health_check_timeout_ms": 2000,
    "health_check_failure_threshold": 3,
}
PAUSE_S = 1.0


@pytest.fixture
def cluster(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A head with two CPUs; all its processes know the slow engine."""
    monkeypatch.setenv("PYTHONPATH", environment["PYTHONPATH"])
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    head = {**CPUS, "include_dashboard": False, "_system_config": HEALTH}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield cluster
    finally:
        cluster.shutdown()


def processes(node: Any) -> list[psutil.Process]:
    """Every process of a node, its workers included."""
    raylets = [info.process.pid for info in node.all_processes["raylet"]]
    parents = [psutil.Process(pid) for pid in raylets]
    return [child for parent in parents for child in parent.children(recursive=True)] + parents


def tables(output: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(output)): path.read_bytes()
        for path in sorted(output.rglob("*.parquet"))
    }


def predictions(output: Path) -> int:
    return len(list(output.glob("predictions/**/*.parquet")))


def started(
    tmp_path: Path, shards: Path, environment: dict[str, str], address: str, **changes: Any
) -> Any:
    config = run_config(tmp_path, shards, tmp_path / "out", **{"pause_s": PAUSE_S, **changes})
    environment = {**environment, "RAY_AUTH_MODE": "disabled", "RAYPIPE_INSECURE": "1"}
    return command(tmp_path, environment, "run", config, "--address", address)


@pytest.mark.parametrize("fault", ["killed", pytest.param("silent", marks=pytest.mark.slow)])
def test_a_run_goes_on_without_a_node(
    cluster: Cluster,
    chaos_shards: Path,
    calm: dict[str, bytes],
    environment: dict[str, str],
    tmp_path: Path,
    fault: str,
) -> None:
    node = cluster.add_node(**CPUS)
    output = tmp_path / "out"
    stopped: list[psutil.Process] = []
    with started(tmp_path, chaos_shards, environment, cluster.address) as run:
        run.wait_for(lambda: predictions(output) >= 2)
        try:
            if fault == "killed":
                os.kill(node.all_processes["raylet"][0].process.pid, signal.SIGKILL)
            else:
                stopped = processes(node)
                for process in stopped:
                    process.suspend()
            assert run.ended() == 0, run.said
        finally:
            for process in stopped:
                process.kill()
    assert tables(output) == calm


@pytest.mark.slow
def test_a_run_uses_a_node_that_joins_late(
    cluster: Cluster,
    chaos_shards: Path,
    calm: dict[str, bytes],
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    output = tmp_path / "out"
    # A node takes seconds to join, and it is used where some work is left.
    started_run = started(tmp_path, chaos_shards, environment, cluster.address, pause_s=5.0)
    with started_run as run:
        run.wait_for(lambda: predictions(output) >= 1)
        cluster.add_node(**CPUS)
        assert run.ended() == 0, run.said
        assert "room for 1 more model actors" in run.said
    assert tables(output) == calm


@pytest.mark.slow
def test_a_run_whose_cluster_has_no_head_any_more_ends_with_one_line(
    cluster: Cluster,
    chaos_shards: Path,
    calm: dict[str, bytes],
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    output = tmp_path / "out"
    with started(tmp_path, chaos_shards, environment, cluster.address) as run:
        run.wait_for(lambda: predictions(output) >= 2)
        head = cluster.head_node.all_processes["gcs_server"][0].process
        os.kill(head.pid, signal.SIGKILL)
        assert run.ended() == 1, run.said
        assert run.said.endswith("the same command continues once it is back")
    config = run_config(tmp_path, chaos_shards, output, pause_s=0.0)
    with command(tmp_path, environment, "run", config) as again:
        assert again.ended() == 0, again.said
    assert tables(output) == calm
