"""The demo: a synthetic corpus and the config that runs the bundled model over it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path

from rich.progress import track

from raypipe.config import RunConfig, parse_config
from raypipe.labels import LABEL_SETS, LabelSet
from raypipe.records import Utterance
from raypipe.reporting.console import Console
from raypipe.shards import write_shards
from raypipe.store.location import Location
from raypipe.tiny_alm.corpus import synthetic_utterances
from raypipe.tiny_alm.spoken import LABEL_SET, SpokenSplit, spoken_utterances
from raypipe.tiny_alm.typed import TypedSplit, typed_utterances

ROWS_PER_SHARD = 50


def make_corpus(folder: Path, count: int, seed: int, console: Console) -> str:
    """Synthesise held-out speakers into shards; a corpus that is already there is kept.

    Returns:
        The folder of the shards, named after what it holds.
    """
    shards = folder / f"synthetic-{count}-seed{seed}"
    utterances = synthetic_utterances(count, seed=seed, split="test")
    source = f"synthetic speech, {count} utterances, seed {seed}"
    labels = LABEL_SETS["crema-d-6"]
    return _written(shards, utterances, count, labels, source, console, fixed_sentences=True)


def write_typed_corpus(
    folder: Path,
    console: Console,
    *,
    train: int = 600,
    dev: int = 200,
    test: int = 200,
    seed: int = 0,
) -> str:
    """Synthesise a corpus with typed descriptions into shards; one that is already there is kept.

    Args:
        folder: in which the folder of the shards is made.
        console: for the progress.
        train: number of clips to learn from.
        dev: number of clips that decide the epoch.
        test: number of clips to be measured on.
        seed: of mixes, votes and sentences; speakers are always the same.

    Returns:
        The folder of the shards, named after what it holds.
    """
    counts: Mapping[TypedSplit, int] = {"train": train, "development": dev, "test": test}
    utterances = itertools.chain.from_iterable(
        typed_utterances(count, split=split, seed=seed) for split, count in counts.items()
    )
    shards = folder / f"typed-{train}-{dev}-{test}-seed{seed}"
    source = f"synthetic speech with typed descriptions, seed {seed}"
    labels = LABEL_SETS["crema-d-6"]
    size = sum(counts.values())
    return _written(shards, utterances, size, labels, source, console, fixed_sentences=True)


def write_spoken_corpus(
    folder: Path,
    console: Console,
    *,
    train: int = 600,
    dev: int = 80,
    test: int = 200,
    seed: int = 0,
) -> str:
    """Synthesise the corpus that says words into shards; one that is already there is kept.

    Args:
        folder: in which the folder of the shards is made.
        console: for the progress.
        train: number of clips to learn from.
        dev: number of clips that decide when to stop.
        test: number of clips to be measured on.
        seed: of sentences, mixes and votes; speakers are always the same.

    Returns:
        The folder of the shards, named after what it holds.
    """
    counts: Mapping[SpokenSplit, int] = {"train": train, "development": dev, "test": test}
    utterances = itertools.chain.from_iterable(
        spoken_utterances(count, split=split, seed=seed) for split, count in counts.items()
    )
    shards = folder / f"spoken-{train}-{dev}-{test}-seed{seed}"
    source = f"synthetic speech that says words, seed {seed}"
    size = sum(counts.values())
    return _written(shards, utterances, size, LABEL_SET, source, console, fixed_sentences=False)


def _written(
    shards: Path,
    utterances: Iterable[Utterance],
    count: int,
    labels: LabelSet,
    source: str,
    console: Console,
    *,
    fixed_sentences: bool,
) -> str:
    if not (shards / "shards.json").exists():
        write_shards(
            track(utterances, description="synthesising", total=count, console=console),
            Location.parse(str(shards)),
            labels,
            rows_per_shard=ROWS_PER_SHARD,
            fixed_sentences=fixed_sentences,
            source=source,
        )
    return str(shards)


EVERYTHING: Mapping[str, object] = {
    "strategies": (
        *("greedy", "cot", "token", "token_softmax"),
        *("bon", "w_bon", "alm_v", "w_alm_v", "adaptive", "pool"),
    ),
    "prompt": {"cot_max_new_tokens": 150},
}
"""Settings of a run with every strategy; tiny-alm's longest reasoning takes up to 150 tokens."""


def demo_config(
    shards: str, output: Path, *, silence: bool = False, everything: bool = False
) -> RunConfig:
    """The demo's settings; each kind of demo has a folder of its own for its tables.

    Args:
        shards: what is listened to.
        output: folder of the plain demo's tables, and of the folders of the others.
        silence: take every sound away.
        everything: every strategy, chain of thought and the verifier included.
    """
    variant = "-".join(["silence"] * silence + ["everything"] * everything)
    return parse_config(
        {
            "name": "demo with silence in place of the audio" if silence else "demo",
            "input": {"shards": shards},
            "output": str(output / variant),
            "audio": {"replace_with": "silence" if silence else None},
            # Whatever the machine: the demo's figures are the same everywhere.
            "model": {"dtype": "float32"},
            "resources": {"batch_size": 25},
            **(EVERYTHING if everything else {}),
        },
        source="demo",
    )
