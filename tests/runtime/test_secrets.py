"""Secrets of the environment, of URLs and of what others wrote come out nowhere.

Commands in processes of their own, as a user starts them, against a real S3 server and an endpoint;
then every object, file, line and log is searched.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from chat_server import ChatServer, chat_server

ROOT = Path(__file__).parents[2]
SECRETS = {
    "OPENAI_API_KEY": "sk-canary-openai-5a1f0c",
    "WRONG_API_KEY": "sk-canary-wrong-77e2d9",
    "HF_TOKEN": "hf_canaryHub0b8e4417",
    "RAY_AUTH_TOKEN": "canary0ray0token0" * 4,
}
WRONG_S3_SECRET = "canary-wrong-s3-secret"
PASSWORD = "canary-password-of-a-url"
SIGNATURE = "canary5igned0f00"
PRESIGNED = f"https://storage.example/b/a.wav?X-Amz-Credential=AK&X-Amz-Signature={SIGNATURE}"
CLIPS = 6


@dataclass
class Place:
    """A folder of a user who has secrets, and what commands said there.

    Attributes:
        folder: the working directory, with what the user has written.
        traces: where programs leave things: home, caches, Ray's session.
    """

    folder: Path
    traces: Path
    bucket: str
    environment: dict[str, str]
    said: list[str] = field(default_factory=list)

    def raypipe(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "raypipe", *words],
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        self.said += [done.stdout, done.stderr]
        return done

    def succeeds(self, *words: str) -> str:
        done = self.raypipe(*words)
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def fails(self, *words: str, **environment: str) -> str:
        done = self.raypipe(*words, **environment)
        assert done.returncode == 1, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stderr

    def write(self, name: str, document: dict[str, Any]) -> str:
        (self.folder / name).write_text(yaml.safe_dump(document), encoding="utf-8")
        return name


@pytest.fixture
def place(s3: Any, tmp_path: Path) -> Iterator[Place]:
    # A short path, as Ray's sockets lie below it.
    traces = Path(tempfile.mkdtemp(prefix="rp-"))
    folder = tmp_path / "here"
    folder.mkdir()
    (traces / "home").mkdir()
    environment = {
        **{name: text for name, text in os.environ.items() if not name.startswith("RAY")},
        **s3.environment,
        **SECRETS,
        "HOME": str(traces / "home"),
        "HF_HOME": str(traces / "hub"),
        "RAYPIPE_CACHE": str(traces / "cache"),
        "RAY_TMPDIR": str(traces),
        "OPENAI_LOG": "debug",
        "PYTHONPATH": str(ROOT),
    }
    yield Place(folder, traces, s3.new_bucket(), environment)
    shutil.rmtree(traces, ignore_errors=True)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server(key=SECRETS["OPENAI_API_KEY"]) as running:
        yield running


def write_corpus(folder: Path, clip: bytes) -> None:
    """A manifest of clips; one is named by a presigned URL, one by a URL with a password."""
    rows: list[dict[str, Any]] = []
    for number in range(CLIPS):
        (folder / f"{number}.wav").write_bytes(clip)
        rows.append({"id": f"u{number}", "audio": f"{number}.wav", "votes": ["anger", "fear"]})
    for number, audio in enumerate((PRESIGNED, f"s3://user:{PASSWORD}@bucket/a.wav")):
        rows.append({"id": f"bad{number}", "audio": audio, "votes": ["anger"]})
    lines = [f"{json.dumps(row)}\n" for row in rows]
    (folder / "clips.jsonl").write_text("".join(lines), encoding="utf-8")


def page_of_view(place: Place, run: str) -> str:
    """The first page of ``raypipe view``, with what the command says."""
    process = subprocess.Popen(
        [sys.executable, "-m", "raypipe", "view", run],
        cwd=place.folder,
        env=place.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Open http://127.0.0.1:"), line
        cookies = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with cookies.open(line.split()[1]) as reply:
            return f"{line}{reply.read().decode()}"
    finally:
        process.terminate()
        process.communicate(timeout=60)


def found(place: Place, secrets: dict[str, str], objects: dict[str, bytes]) -> list[str]:
    """Where a secret is that is in no place where the user has put it."""
    texts = {f"said {number}": text.encode() for number, text in enumerate(place.said)}
    files = [path for path in place.traces.rglob("*") if path.is_file()]
    files += [path for path in (place.folder / "manifests").rglob("*") if path.is_file()]
    texts |= {str(path): path.read_bytes() for path in files}
    assert any("logs" in path.parts for path in files), "Ray's logs are somewhere else"
    return [
        f"{name} in {where}"
        for where, text in (texts | objects).items()
        for name, secret in secrets.items()
        if secret.encode() in text
    ]


def objects_of(client: Any, bucket: str) -> dict[str, bytes]:
    """Names, metadata and contents of all objects in a bucket, tables as texts."""
    objects = {}
    for each in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in each.get("Contents", ()):
            reply = client.get_object(Bucket=bucket, Key=entry["Key"])
            kept = f"{entry['Key']} {reply['Metadata']}".encode()
            objects[entry["Key"]] = kept + readable(entry["Key"], reply["Body"].read())
    return objects


def readable(name: str, data: bytes) -> bytes:
    """Bytes of an object, and of a table, which is compressed, what stands in it."""
    if not name.endswith(".parquet"):
        return data
    table = pq.read_table(pa.BufferReader(data))
    return data + f"{table.schema.metadata} {table.to_pylist()}".encode()


@pytest.mark.slow  # eight commands against a real S3 server: minutes
def test_secrets_are_in_no_output_log_cache_or_page(
    s3: Any, place: Place, server: ChatServer, encode: Any, tone: Any
) -> None:
    here, out = place, f"s3://{place.bucket}"
    write_corpus(here.folder, encode(tone(0.5)))
    api = {"preset": "vllm", "base_url": server.base_url, "first_wait_s": 0.01, "attempts": 2}
    model = {"engine": "openai", "path": "m", "api": {**api, "key_variable": "OPENAI_API_KEY"}}
    run = {
        "input": {"shards": f"{out}/shards"},
        "output": f"{out}/run",
        "model": {
            "engine": "openai",
            "path": "m",
            "api": {**api, "key_variable": "OPENAI_API_KEY"},
        },
        "strategies": ["greedy", "bon"],
        "decoding": {"beam_count": 2},
        "metrics": {"replicates": 100},
    }
    config = here.write("run.yaml", run)
    refused = {**model, "api": {**api, "key_variable": "WRONG_API_KEY"}}
    wrong_key = here.write("wrong-key.yaml", {**run, "output": f"{out}/wrong", "model": refused})
    address = server.base_url.replace("http://", f"http://user:{PASSWORD}@")
    secret_url = {**model, "api": {**api, "base_url": address}}
    in_url = here.write("in-url.yaml", {**run, "output": f"{out}/url", "model": secret_url})
    endpoint = s3.endpoint.replace("http://", f"http://user:{PASSWORD}@")

    label_set = ("--label-set", "crema-d-6")
    here.succeeds("ingest", "manifest", "clips.jsonl", f"{out}/shards", *label_set)
    here.fails("ingest", "manifest", PRESIGNED, f"{out}/none", *label_set)
    here.fails("ingest", "crema-d", f"s3://user:{PASSWORD}@b/c", f"{out}/none")
    here.fails("inspect", f"{out}/shards", AWS_ENDPOINT_URL=endpoint)
    here.fails("run", in_url)
    assert "refuses every request" in here.fails("run", wrong_key)
    here.fails("run", config, AWS_SECRET_ACCESS_KEY=WRONG_S3_SECRET)
    here.succeeds("run", config)
    assert len(server.seen) >= CLIPS
    here.succeeds("doctor", config)
    here.succeeds("status", f"{out}/run")
    here.succeeds("status", f"{out}/wrong", "--json")
    here.succeeds("report", f"{out}/run")
    here.succeeds("verify", f"{out}/run")
    here.succeeds("query", "FROM generations", "--run", f"{out}/run", "--json")
    here.succeeds("reaggregate", f"{out}/run", "--tau", "0.5", "--output", f"{out}/tau")
    values = {
        "name": "run",
        "job": "infer",
        "config": config,
        "image": {"name": "registry.example/raypipe", "tag": "1"},
        "storage_secret": "storage",
        "head": {"cpus": 4, "memory": "8Gi", "ephemeral_storage": "10Gi"},
        "workers": [
            {"name": "w", "replicas": 1, "cpus": 8, "memory": "8Gi", "ephemeral_storage": "10Gi"}
        ],
    }
    here.succeeds("cluster", "render", here.write("values.yaml", values), "--output", "manifests")
    here.said.append(page_of_view(here, f"{out}/run"))

    secrets = {
        **SECRETS,
        "AWS_SECRET_ACCESS_KEY": s3.environment["AWS_SECRET_ACCESS_KEY"],
        "the wrong secret of S3": WRONG_S3_SECRET,
        "a password in a URL": PASSWORD,
        "a presigned URL": SIGNATURE,
    }
    objects = objects_of(s3.client, here.bucket)
    for table in ("shards/shards.json", "run/run.json", "run/report.html", "tau/report.html"):
        assert table in objects
    assert any("api_cache" in name for name in objects)
    assert found(here, secrets, objects) == []
    here.said.append(f"told: {PASSWORD}")
    objects["x"] = WRONG_S3_SECRET.encode()
    assert len(found(here, secrets, objects)) == 2, "the search finds nothing"
