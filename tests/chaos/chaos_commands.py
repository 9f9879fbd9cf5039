"""The commands that the chaos suite strikes, and what they are given."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chaos_cells import Command, Engine
from chaos_harm import StoredObject
from corpus_folder import clip
from faulted import run_config
from in_process import LABELS, utterance

from raypipe.shards import write_shards
from raypipe.store.location import Location

SHARDS, ROWS_PER_SHARD = 24, 2
CLIP_SHARDS, CLIPS_PER_SHARD = 60, 10

UTTERANCE_IDS = tuple(f"u{number}" for number in range(SHARDS * ROWS_PER_SHARD))
CLIP_IDS = tuple(f"c{number:04d}" for number in range(CLIP_SHARDS * CLIPS_PER_SHARD))


@dataclass(frozen=True)
class ChaosInput:
    """What commands are given.

    Attributes:
        shards: of noise, that runs read.
        manifest: that is ingested; its clips are all the same file.
    """

    shards: Path
    manifest: Path


def chaos_input_in(folder: Path) -> ChaosInput:
    """Write what commands are given."""
    shards, manifest = folder / "shards", folder / "clips.jsonl"
    write_shards(
        (utterance(name) for name in UTTERANCE_IDS),
        Location.parse(str(shards)),
        LABELS,
        source="test",
        rows_per_shard=ROWS_PER_SHARD,
    )
    (folder / "a.wav").write_bytes(clip(20.0))
    lines = [{"id": name, "audio": "a.wav", "votes": ["neutral"]} for name in CLIP_IDS]
    manifest.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return ChaosInput(shards, manifest)


@dataclass(frozen=True)
class ChaosCommand:
    """A command of a cell.

    Attributes:
        engine: of a run, or of the run that is read again.
        pause_s: of the instant engine before every call; it changes no answer.
    """

    command: Command
    engine: Engine
    pause_s: float = field(default=0.25, compare=False)

    @property
    def source(self) -> ChaosCommand | None:
        """The run that a reaggregation reads."""
        return ChaosCommand("run", self.engine) if self.command == "reaggregate" else None

    @property
    def parts(self) -> int:
        """Objects of :meth:`done` in the end."""
        return CLIP_SHARDS if self.command == "ingest" else SHARDS

    @property
    def ids(self) -> frozenset[str]:
        """Utterances that must be accounted for."""
        return frozenset(CLIP_IDS if self.command == "ingest" else UTTERANCE_IDS)

    def arguments(
        self, folder: Path, given: ChaosInput, source: Location | None, output: Location
    ) -> list[object]:
        """Of ``raypipe``.

        Args:
            folder: for its config.
            given: what there is on this disk.
            source: other shards, or the run that is read again.
            output: where it writes.
        """
        if self.command == "ingest":
            options = ("--label-set", "iemocap-4", "--rows-per-shard", CLIPS_PER_SHARD)
            return ["ingest", "manifest", given.manifest, output.uri, *options]
        if self.command == "reaggregate":
            assert source is not None
            strategies = ("--strategies", "slow,bon")
            return ["reaggregate", source.uri, *strategies, "--output", output.uri]
        shards = given.shards if source is None else source.uri
        changes = {} if self.engine == "instant" else {"model": {}}
        return ["run", run_config(folder, shards, output.uri, pause_s=self.pause_s, **changes)]

    def done(self, output: Location) -> int:
        """Shards that are written."""
        if self.command == "ingest":
            return sum(name.startswith("shard-") for name in output.list())
        return len(output.child("predictions").list())


@dataclass(frozen=True)
class Calm:
    """An undisturbed command.

    Attributes:
        output: where it wrote.
        seconds: that it took.
    """

    output: Location
    objects: Mapping[str, StoredObject]
    seconds: float
