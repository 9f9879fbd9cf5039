"""A shard of noise and a fake engine: a run's own functions in this process, without Ray."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from raypipe.config import parse_config
from raypipe.labels import LABEL_SETS
from raypipe.records import Utterance, Vote
from raypipe.runtime.infer.context import RunContext
from raypipe.runtime.infer.models import make_engine, make_frontend
from raypipe.runtime.infer.plan import ModelRun, make_plan
from raypipe.runtime.infer.preparing import prepare_shard
from raypipe.runtime.infer.shard_work import answer_shard, commit_shard
from raypipe.shards import write_shards
from raypipe.store.location import Location
from raypipe.store.query import query

LABELS = LABEL_SETS["crema-d-6"]


def clip(seconds: float, seed: int = 0) -> bytes:
    sink = io.BytesIO()
    samples = np.random.default_rng(seed).uniform(-0.1, 0.1, round(seconds * 16_000))
    soundfile.write(sink, samples.astype(np.float32), 16_000, format="FLAC")
    return sink.getvalue()


def utterance(name: str, seconds: float = 0.5) -> Utterance:
    at = int(name.removeprefix("u"))
    label = LABELS.names[at % len(LABELS)]
    soft = tuple(0.75 if known == label else 0.05 for known in LABELS.names)
    return Utterance(
        utterance_id=name,
        dataset="noise",
        split="test",
        speaker=f"s{at % 3}",
        audio=clip(seconds, at),
        sampling_rate=16_000,
        duration_s=seconds,
        transcript="Well.",
        votes=(Vote("a", (label,)), Vote("b", (label,)), Vote("c", ("neutral",))),
        soft_label=soft,
        plurality=label,
        n_votes=3,
    )


class InProcess:
    """A run of one shard, step by step in this process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shards = folder / "shards"

    def write(self, *rows: Utterance) -> None:
        write_shards(rows, Location.parse(str(self.shards)), LABELS, source="test")

    def config(self, **changes: Any) -> Any:
        document: dict[str, Any] = {
            "input": {"shards": str(self.shards)},
            "output": str(self.folder / "out"),
            "model": {"engine": "fake", "path": "none", "name": "fake"},
            "decoding": {"beam_count": 3},
            "metrics": {"replicates": 100},
        }
        return parse_config({**document, **changes})

    def answered(self, **changes: Any) -> tuple[RunContext, Any]:
        """Everything of the first shard is asked and committed; the context and the engine."""
        model_run: ModelRun = make_plan(self.config(**changes)).model_runs[0]
        context = model_run.context
        frontend = make_frontend(model_run.config.model)
        engine = make_engine(model_run.config, context.emotion_tokens, [])
        verifier = None if context.verification is None else (frontend, engine)
        shard = prepare_shard(model_run.tasks[0], context, frontend)
        commit_shard(answer_shard(shard, context, engine, verifier), context)
        return context, engine

    def rows(self, sql: str) -> list[dict[str, Any]]:
        return query(Location.parse(str(self.folder / "out")), sql).to_pylist()


@pytest.fixture
def in_process(fake_engine: None, tmp_path: Path) -> InProcess:
    runs = InProcess(tmp_path)
    runs.write(*(utterance(f"u{number}") for number in range(6)))
    return runs


@pytest.fixture
def make_utterance() -> Callable[..., Utterance]:
    return utterance
