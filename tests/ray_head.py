"""A Ray cluster of one node that jobs are submitted to, as an operator starts one."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
RAY = [sys.executable, "-m", "ray.scripts.scripts"]


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@dataclass(frozen=True)
class Head:
    """A cluster that is up.

    Attributes:
        dashboard: URL that jobs are submitted to.
        address: ``host:port`` that drivers join.
        environment: of its processes, its token included.
    """

    dashboard: str
    address: str
    environment: dict[str, str]


@contextmanager
def ray_head(*, with_token: bool = True) -> Iterator[Head]:
    """A cluster of one node, started the way an operator does, in a process group of its own."""
    port, dashboard, agent_http, agent_grpc, client = free_ports(5)
    environment = {
        **{name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"},
        "RAY_AUTH_MODE": "token" if with_token else "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # raypipe, as in the image
        "PYTHONPATH": str(ROOT),  # of this package, wherever a job's folder is
    }
    # Ray's socket paths have a length limit that pytest's own folders exceed.
    with tempfile.TemporaryDirectory(prefix="rp") as folder:
        if with_token:
            token = Path(folder, "token")
            token.write_text(secrets.token_hex(32))
            environment["RAY_AUTH_TOKEN_PATH"] = str(token)
        process = subprocess.Popen(
            [
                *(*RAY, "start", "--head", "--block", "--num-cpus=2", f"--port={port}"),
                *("--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"),
                f"--dashboard-agent-listen-port={agent_http}",
                f"--dashboard-agent-grpc-port={agent_grpc}",
                f"--ray-client-server-port={client}",
                *("--object-store-memory=300000000", f"--temp-dir={folder}"),
            ],
            env=environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            address = f"http://127.0.0.1:{dashboard}"
            wait_until_ready(address, process, environment)
            yield Head(address, f"127.0.0.1:{port}", environment)
        finally:
            # Asked to stop, Ray's processes wait half a minute for each other.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=60)


def wait_until_ready(
    address: str, process: subprocess.Popen[bytes], environment: dict[str, str]
) -> None:
    deadline = time.monotonic() + 90
    while True:
        listing = subprocess.run(
            [*RAY, "job", "list", "--address", address],
            env=environment,
            capture_output=True,
            check=False,
        )
        if listing.returncode == 0:
            return
        assert process.poll() is None, "ray start ended"
        assert time.monotonic() < deadline, listing.stderr.decode()
        time.sleep(1)
