"""The demo: a synthetic corpus and the config that runs the bundled model over it."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import track

from raypipe.config import RunConfig, parse_config
from raypipe.labels import LABEL_SETS
from raypipe.shards import write_shards
from raypipe.store.location import Location
from raypipe.tiny_alm.corpus import synthetic_utterances

ROWS_PER_SHARD = 50


def make_corpus(folder: Path, count: int, seed: int, console: Console) -> str:
    """Synthesise held-out speakers into shards; a corpus that is already there is kept.

    Returns:
        The folder of the shards, named after what it holds.
    """
    shards = folder / f"synthetic-{count}-seed{seed}"
    if not (shards / "shards.json").exists():
        utterances = track(
            synthetic_utterances(count, seed=seed, split="test"),
            description="synthesising",
            total=count,
            console=console,
        )
        write_shards(
            utterances,
            Location.parse(str(shards)),
            LABEL_SETS["crema-d-6"],
            rows_per_shard=ROWS_PER_SHARD,
            fixed_sentences=True,
            source=f"synthetic speech, {count} utterances, seed {seed}",
        )
    return str(shards)


def demo_config(shards: str, output: Path, *, silence: bool = False) -> RunConfig:
    """The demo's settings; with ``silence`` the tables go to a folder of their own."""
    return parse_config(
        {
            "name": "demo with silence in place of the audio" if silence else "demo",
            "input": {"shards": shards},
            "output": str(output / "silence" if silence else output),
            "audio": {"replace_with": "silence" if silence else None},
            "resources": {"batch_size": 25},
        },
        source="demo",
    )
