"""Weights of the hub, from a local server that answers as it does."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from hub_server import COMMIT, Hub, hub_server

from raypipe.engines.checkpoint_files import INDEX, WEIGHTS

ROOT = Path(__file__).parents[2]
MODEL = "somebody/model"
SHARDS = {f"model-0000{number}-of-00003.safetensors": b"s" * number for number in (1, 2, 3)}
MAP = {f"weight {number}": name for number, name in enumerate(SHARDS)}
FILES = {INDEX: json.dumps({"weight_map": MAP}).encode(), **SHARDS}

FETCH = """
import sys
from raypipe.engines.hub_weights import weights_folder
try:
    print(weights_folder(sys.argv[1], None))
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def serve(tmp_path):
    """A hub that has the model with these files."""

    @contextmanager
    def served(files: Mapping[str, bytes]) -> Iterator[Hub]:
        folder = tmp_path / "served"
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        with hub_server() as hub:
            hub.folders[MODEL] = folder
            yield hub

    return served


@pytest.fixture
def start(tmp_path):
    """A process that fetches a model's weights; the hub's client reads its settings once."""

    def started(endpoint: str, **environment: str) -> subprocess.Popen:
        own = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "hub")}
        own |= {"RAYPIPE_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(
            [sys.executable, "-c", FETCH, MODEL],
            env={**os.environ, "HF_HUB_DISABLE_XET": "1", **own, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    return started


def said(process: subprocess.Popen) -> str:
    output, _ = process.communicate(timeout=120)
    return output.strip()


def test_processes_fetch_once_and_offline_nothing_is_asked(start, serve):
    with serve(FILES) as hub:
        processes = [start(hub.url) for _ in range(2)]
        first, second = map(said, processes)
        assert +hub.handed_out == dict.fromkeys(FILES, 1)
    assert first == second
    folder = Path(first)
    assert folder.name == COMMIT
    assert {name: (folder / name).read_bytes() for name in SHARDS} == SHARDS
    assert said(start("http://127.0.0.1:9", HF_HUB_OFFLINE="1")) == first


@pytest.mark.slow
def test_what_is_in_the_cache_is_taken_where_the_hub_does_not_answer(start, serve):
    with serve(FILES) as hub:
        folder = said(start(hub.url))
    assert said(start("http://127.0.0.1:9")) == folder


def test_a_file_that_is_nowhere_is_named(start, serve):
    missing = list(SHARDS)[1]
    with serve({name: data for name, data in FILES.items() if name != missing}) as hub:
        told = said(start(hub.url))
    assert told.startswith(f"UnsupportedError somebody/model: {missing}, which its")


def test_without_hub_and_cache_the_hub_s_own_error_stays(start):
    assert said(start("http://127.0.0.1:9", HF_HUB_OFFLINE="1")).startswith("LocalEntryNotFound")


def test_a_single_file_is_preferred(start, serve):
    with serve({**FILES, WEIGHTS: b"w"}) as hub:
        folder = Path(said(start(hub.url)))
        assert +hub.handed_out == {WEIGHTS: 1}
    assert (folder / WEIGHTS).read_bytes() == b"w"


def test_weights_as_pickle_are_refused_and_not_fetched(start, serve):
    with serve({"pytorch_model.bin": b"pickle"}) as hub:
        refused = said(start(hub.url))
        assert not any(hub.handed_out.values())
    assert refused.startswith(
        "UnsupportedError somebody/model: pickle weights (pytorch_model.bin) are"
    )
    assert "\n" not in refused
