"""Shards of noise and a fake engine: a run's own functions in this process, without Ray.

The fixture ``in_process`` of ``tests/conftest.py`` brings one with six utterances.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from rich.console import Console

from raypipe.config import MetricsConfig, RunConfig, parse_config
from raypipe.labels import LABEL_SETS
from raypipe.records import Utterance, Vote
from raypipe.runtime.finish.counts import check_counts, counts_of
from raypipe.runtime.finish.folds import fold_here
from raypipe.runtime.finish.partition import ModelPrompt
from raypipe.runtime.finish.tally import CellTally, CountedCell
from raypipe.runtime.infer.context import RunContext, ShardTask
from raypipe.runtime.infer.models import make_engine, make_frontend
from raypipe.runtime.infer.plan import ModelRun, Plan, make_plan
from raypipe.runtime.infer.preparing import prepare_shard
from raypipe.runtime.infer.shard_work import answer_shard, commit_shard, recommit_shard
from raypipe.shards import write_shards
from raypipe.store.location import Location
from raypipe.store.query import query
from raypipe.store.run_record import read_record, write_record

LABELS = LABEL_SETS["crema-d-6"]
REPLICATES = MetricsConfig(replicates=100)

TASKS_RUN_HERE = SimpleNamespace(
    put=lambda value: value, get=lambda value: value, remote=lambda **_: lambda task: task
)
"""What jobs use of Ray, in this process."""


def in_order_here(task: Callable[..., Any], items: Iterable[Any], *more: Any) -> Iterable[Any]:
    return (task(item, *more) for item in items)


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


def reduce_here(patch: pytest.MonkeyPatch, job: Any) -> None:
    """Let a job's module count and reduce in this process."""
    for name in ("count_cells", "reduce_tables"):
        patch.setattr(job, name, partial(getattr(job, name), fold=fold_here))


class InProcess:
    """A run in this process, step by step.

    Args:
        folder: where its files go.
        shards: that it reads; None for those that :meth:`write` makes.
    """

    labels = LABELS

    def __init__(self, folder: Path, shards: Path | None = None) -> None:
        self.folder = folder
        self.shards = folder / "shards" if shards is None else shards

    @property
    def tables(self) -> Location:
        return Location.parse(str(self.folder / "out"))

    def write(self, *rows: Utterance, rows_per_shard: int = 200, **facts: Any) -> None:
        write_shards(
            rows,
            Location.parse(str(self.shards)),
            LABELS,
            source="test",
            rows_per_shard=rows_per_shard,
            **facts,
        )

    def document(self, **changes: Any) -> dict[str, Any]:
        """A config's keys and values; ``changes`` take the place of whole sections.

        Nothing of the resources says ``auto``: most functions are given what a plan has resolved.
        """
        resources = {"gpus_per_actor": 0, "batch_size": 16} | changes.pop("resources", {})
        return {
            "resources": resources,
            "input": {"shards": str(self.shards)},
            "output": self.tables.uri,
            "model": {"engine": "fake", "path": "none", "name": "fake"},
            "decoding": {"beam_count": 3},
            "metrics": {"replicates": 100},
            **changes,
        }

    def config(self, **changes: Any) -> RunConfig:
        return parse_config(self.document(**changes))

    def plan(self, **changes: Any) -> Plan:
        return make_plan(self.config(**changes))

    def context(self, **changes: Any) -> RunContext:
        return self.plan(**changes).context

    def answered(self, **changes: Any) -> tuple[RunContext, Any]:
        """Everything of the first shard is asked and committed; the context and the engine."""
        model_run = self.plan(**changes).model_runs[0]
        engine = self._answer(model_run, model_run.tasks[:1])
        return model_run.context, engine

    def finished(self, **changes: Any) -> Plan:
        """All shards are asked and committed, counted and recorded; the plan as it began."""
        from raypipe.runtime.infer import pipeline  # imports Ray, which the other methods need not

        plan = self.plan(**changes)
        for model_run in plan.model_runs:
            self._answer(model_run, model_run.pending)
        context = plan.context
        strategies = [variant.name for variant in context.variants]
        counts = counts_of(self.tallies(plan), plan.model_runs[0].utterances, strategies)
        check_counts(counts)
        record = pipeline._record(plan, datetime.now(UTC))
        write_record(context.tables, record.changed(counts=counts, status="finished"))
        return plan

    def counted(
        self, plan: Plan, settings: MetricsConfig = REPLICATES, **changes: Any
    ) -> dict[ModelPrompt, CountedCell]:
        """What the objects of a plan hold, by every model and prompt."""
        from raypipe.runtime.finish.reduce import count_cells  # imports Ray
        from raypipe.runtime.infer import pipeline

        context = plan.context
        return count_cells(
            context.tables,
            pipeline._predictions(plan),
            changes.pop("run", context.run),
            Console(quiet=True),
            labels=context.labels,
            settings=settings,
            fold=fold_here,
            **{"truth": plan.truth} | changes,
        )

    def tallies(self, plan: Plan, **changes: Any) -> dict[ModelPrompt, CellTally]:
        """The tallies of :meth:`counted`."""
        return {cell: found.tally for cell, found in self.counted(plan, **changes).items()}

    def reduced(self, plan: Plan, settings: MetricsConfig = REPLICATES, **changes: Any) -> bytes:
        """Write ``metrics/`` and the report of a finished plan; the bytes of ``metrics/``.

        Args:
            plan: of :meth:`finished`, with one model called ``fake`` and one prompt.
            settings: of the bootstrap.
            changes: further arguments of the reduce.
        """
        from raypipe.runtime.finish import reduce as module  # imports Ray

        context, truth = plan.context, changes.pop("truth", plan.truth)
        module.reduce_tables(
            context.tables,
            self.counted(plan, settings, truth=truth),
            read_record(context.tables),
            Console(quiet=True),
            labels=context.labels,
            settings=settings,
            truth=truth,
            fold=fold_here,
            **changes,
        )
        return self.objects()["metrics/model=fake/prompt=distribution/metrics.parquet"]

    @staticmethod
    def _answer(model_run: ModelRun, tasks: Sequence[ShardTask]) -> Any:
        context, config = model_run.context, model_run.config
        frontend = make_frontend(config.model)
        engine = make_engine(config, context.emotion_tokens, [])
        verifier = None if context.verification is None else (frontend, engine)
        for task in tasks:
            if task.generated:
                recommit_shard(task, context)
            else:
                shard = prepare_shard(task, context, frontend)
                commit_shard(answer_shard(shard, context, engine, verifier), context)
        return engine

    def objects(self) -> dict[str, bytes]:
        """Every Parquet object of the output by its name."""
        return {name: self.tables.read(name) for name in self.tables.list(".parquet")}

    def rows(self, sql: str) -> list[dict[str, Any]]:
        answer: list[dict[str, Any]] = query(self.tables, sql).to_pylist()
        return answer
