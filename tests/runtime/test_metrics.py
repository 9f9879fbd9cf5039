"""A run's numbers, as Prometheus reads them from Ray's exporters."""

from __future__ import annotations

import re
import time
import urllib.request
from pathlib import Path
from typing import Any

import ray

LINE = re.compile(r"^(ray_raypipe_\w+)\{(.*)\} (\S+)$", re.MULTILINE)
REPORTED_S = 60
"""Ray hands metrics on every ten seconds."""


def scraped() -> dict[str, float]:
    """Values of our metrics, summed over processes, by name and those tags that are ours."""
    values: dict[str, float] = {}
    for node in ray.nodes():
        address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
        with urllib.request.urlopen(address, timeout=10) as reply:
            text = reply.read().decode()
        for name, tags, value in LINE.findall(text):
            own = re.findall(r'(model|question|direction|what|state)="([^"]*)"', tags)
            key = " ".join([name, *(f"{tag}={text}" for tag, text in sorted(own))])
            values[key] = values.get(key, 0.0) + float(value)
    return values


def test_a_run_tells_prometheus_how_far_it_is_and_what_it_took(
    ray_cluster: None, runs: Any, corpus: Path, tmp_path: Path
) -> None:
    before = scraped()
    assert not [name for name in before if "measured" in name]
    runs.run(corpus, tmp_path, model={"path": "tiny-alm", "name": "measured"})
    expected = {
        "ray_raypipe_shards_total model=measured": runs.utterances / runs.rows_per_shard,
        **{
            f"ray_raypipe_items state={state} what=utterances": number
            for state, number in {"total": 48, "done": 48, "failed": 0}.items()
        },
    }
    # The commits' process and this one report each in its own time.
    deadline = time.monotonic() + REPORTED_S
    while (told := scraped()).items() & expected.items() != expected.items():
        assert time.monotonic() < deadline, told
        time.sleep(1)
    seconds = "ray_raypipe_engine_seconds_total model=measured question="
    assert sum(value for name, value in told.items() if name.startswith(seconds)) > 0
    for direction in ("in", "out"):
        assert told[f"ray_raypipe_tokens_total direction={direction} model=measured"] > 0
