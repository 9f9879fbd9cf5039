"""A real Ray, a small synthetic corpus, one finished run: made once, read by many tests.

Tests in the folders below do without: they have ``in_process``.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from rich.console import Console
from s3_server import find_weed

from raypipe.config import RunConfig, parse_config
from raypipe.labels import LABEL_SETS
from raypipe.records import Utterance
from raypipe.runtime.infer.pipeline import run
from raypipe.runtime.ray.session import ray_session
from raypipe.shards import write_shards
from raypipe.store.location import Location
from raypipe.store.query import query
from raypipe.tiny_alm.corpus import synthetic_utterances

UTTERANCES, ROWS_PER_SHARD = 48, 16


@pytest.fixture(scope="session")
def ray_cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    if find_weed() is not None:
        request.getfixturevalue("s3")  # Ray's workers have the environment of when it started
    cache = str(tmp_path_factory.mktemp("cache"))  # of models that workers fetch
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAYPIPE_CACHE", cache)
        with ray_session():
            yield
    assert not ray.is_initialized()


@pytest.fixture(scope="session")
def corpus(runs: Runs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = synthetic_utterances(UTTERANCES, seed=3, split="test")
    return runs.shards(rows, tmp_path_factory.mktemp("corpus"), ROWS_PER_SHARD)


class Runs:
    """Making and running small runs, and reading what they wrote."""

    utterances, rows_per_shard = UTTERANCES, ROWS_PER_SHARD

    @staticmethod
    def shards(rows: Iterable[Utterance], folder: Path, rows_per_shard: int) -> Path:
        """Write a small corpus of acted sentences; its folder."""
        write_shards(
            rows,
            Location.parse(str(folder)),
            LABEL_SETS["crema-d-6"],
            rows_per_shard=rows_per_shard,
            fixed_sentences=True,
            source="test",
        )
        return folder

    @staticmethod
    def document(shards: object, output: object, **changes: Any) -> dict[str, Any]:
        """A config's keys and values; ``changes`` are merged into its sections."""
        document: dict[str, Any] = {
            "input": {"shards": str(shards)},
            "output": str(output),
            "metrics": {"replicates": 200},
            "decoding": {"beam_count": 3},
        }
        for section, values in changes.items():
            old = document.get(section)
            document[section] = {**old, **values} if isinstance(old, dict) else values
        return document

    def config(self, shards: object, output: object, **changes: Any) -> RunConfig:
        return parse_config(self.document(shards, output, **changes))

    def run(self, shards: object, output: object, **changes: Any) -> dict[str, Any]:
        """Run to the end, quietly; the run record."""
        return run(self.config(shards, output, **changes), console=Console(file=io.StringIO()))

    @staticmethod
    def tables(output: Path) -> dict[str, bytes]:
        """Every Parquet object of a run by its name."""
        return {
            str(path.relative_to(output)): path.read_bytes()
            for path in sorted(output.rglob("*.parquet"))
        }

    @staticmethod
    def rows(output: object, sql: str) -> list[dict[str, Any]]:
        return query(Location.parse(str(output)), sql).to_pylist()


@pytest.fixture(scope="session")
def runs() -> Runs:
    return Runs()


@pytest.fixture(scope="session")
def finished(
    ray_cluster: None, runs: Runs, corpus: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The tables of one undisturbed run over the corpus."""
    output = tmp_path_factory.mktemp("finished")
    runs.run(corpus, output)
    return output


@pytest.fixture(autouse=True)
def _no_ray_below(request: pytest.FixtureRequest) -> None:
    """Unit tests, in the folders below this one, start no Ray."""
    is_below = request.path.parent != Path(__file__).parent
    assert not is_below or "ray_cluster" not in request.fixturenames
