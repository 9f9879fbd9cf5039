"""A run from its config to its tables, metrics and report."""

from __future__ import annotations

import dataclasses
import time
from datetime import UTC, datetime
from typing import Any

from ray.exceptions import RayError
from rich.console import Console

from raypipe.config import RunConfig
from raypipe.errors import StoppedError
from raypipe.runtime.finish.progress import RunProgress
from raypipe.runtime.finish.record import (
    RECORD,
    check_counts,
    count_tables,
    read_record,
    write_record,
)
from raypipe.runtime.finish.reduce import reduce_run
from raypipe.runtime.finish.timings import read_timings
from raypipe.runtime.finish.versions import versions
from raypipe.runtime.infer.models import run_usage
from raypipe.runtime.infer.plan import Leg, Plan, make_plan
from raypipe.runtime.infer.stages import required, shard_stream
from raypipe.runtime.ray.session import check_resources, own_error, ray_session


def run(
    config: RunConfig, *, address: str | None = None, console: Console | None = None
) -> dict[str, Any]:
    """Do everything the config asks for that is not done yet.

    Running the same config again continues an interrupted run and does nothing to a finished one.

    Args:
        config: what to do.
        address: of a Ray cluster; None for ``RAY_ADDRESS``, else an embedded local Ray.
        console: where progress goes.

    Returns:
        The run record, as written to ``run.json``.

    Raises:
        RaypipeError: if the config, the input, the storage or the accounting is wrong.
    """
    console = console or Console()
    plan = make_plan(config)
    finished = _finished_record(plan)
    if finished is not None:
        return finished
    with ray_session(address):
        return run_plan(plan, console)


def _finished_record(plan: Plan) -> dict[str, Any] | None:
    """The record of this very run if there is nothing left to do, not even other intervals."""
    if not plan.is_done or not plan.context.tables.exists(RECORD):
        return None
    record = read_record(plan.context.tables)
    same = record["config"]["metrics"] == plan.config.metrics.model_dump(mode="json")
    return record if same and record["status"] == "finished" else None


def run_plan(plan: Plan, console: Console) -> dict[str, Any]:
    """Carry out a plan on the connected Ray: stream, count, reduce, report."""
    started, clock = datetime.now(UTC), time.monotonic()
    record = _record(plan, started)
    write_record(plan.context.tables, record)
    context = plan.context
    try:
        for leg in plan.legs:
            if leg.pending:
                _stream(leg, console, name=leg.context.model if len(plan.legs) > 1 else None)
    except StoppedError as error:
        _note_usage(plan, record)
        write_record(context.tables, {**record, "status": "stopped", "reason": str(error)})
        raise
    _note_usage(plan, record)
    strategies = [variant.name for variant in context.variants]
    cells = [(leg.context.model, name) for leg in plan.legs for name in context.all_prompts]
    counts = count_tables(context.tables, context.run, plan.legs[0].utterances, cells, strategies)
    check_counts(counts)
    record["counts"] = counts
    record["timings"] = read_timings(context.tables, [leg.context.model for leg in plan.legs])
    record["status"] = "finished"
    record["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
    record["seconds"] = round(time.monotonic() - clock, 1)
    reduce_run(plan, record, console)
    write_record(plan.context.tables, record)
    return record


def _note_usage(plan: Plan, record: dict[str, Any]) -> None:
    usage = run_usage(plan.config)
    if usage is not None:
        record["api_usage"] = dataclasses.asdict(usage)


def _stream(leg: Leg, console: Console, name: str | None) -> None:
    check_resources(**required(leg.config, leg.context))
    if name is not None:
        console.print(f"model {name}")
    stream = shard_stream(leg.pending, leg.config, leg.context)
    generated = {task.entry.name for task in leg.pending if task.generated}
    written = 0
    stopped: dict[str, Any] | None = None
    with RunProgress(leg.utterances, leg.utterances_done, console) as progress:
        try:
            for batch in stream.iter_batches(
                batch_size=1, batch_format="pyarrow", prefetch_batches=0
            ):
                for row in batch.to_pylist():
                    progress.advance(row["utterances"], row["errors"])
                    if row["stopped"] is not None:
                        stopped = stopped or row
                    elif row["shard"] not in generated:
                        written += 1
                # All that was answered is written; the rest would be read to be stopped as well.
                if stopped is not None and written >= stopped["answered"]:
                    break
        except RayError as error:
            raise own_error(error) from error
    if stopped is not None:
        raise StoppedError(stopped["stopped"])


def _record(plan: Plan, started: datetime) -> dict[str, Any]:
    context = plan.context
    return {
        "name": plan.config.name,
        "run": context.run,
        "status": "running",
        "fingerprint": context.prediction_fingerprint,
        "generation_fingerprint": context.generation_fingerprint,
        "input_fingerprint": plan.index.fingerprint,
        "dataset": plan.index.dataset,
        "labels": list(context.labels.names),
        "vote_policy": context.policy and context.policy.model_dump(mode="json"),
        "config": plan.config.model_dump(mode="json"),
        "seed": plan.config.metrics.seed,
        "versions": versions(
            [model.engine for model in (*plan.config.all_models, plan.config.as_judge().model)]
        ),
        "started": started.isoformat(timespec="seconds"),
    }
