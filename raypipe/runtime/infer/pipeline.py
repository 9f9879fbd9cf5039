"""A run from its config to its tables, metrics and report."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from functools import partial

from raypipe.config import RunConfig
from raypipe.reporting.console import Console
from raypipe.reporting.errors import ErrorTally
from raypipe.runtime.finish.counts import check_counts, counts_of
from raypipe.runtime.finish.ending import failures_recorded, finished_now
from raypipe.runtime.finish.error_share import (
    FEWEST_UTTERANCES,
    check_error_share,
    errors_by_cell,
    too_many_errors,
)
from raypipe.runtime.finish.output import finished_record
from raypipe.runtime.finish.partition import ModelPrompt
from raypipe.runtime.finish.progress import RunProgress
from raypipe.runtime.finish.reduce import count_cells, reduce_tables
from raypipe.runtime.finish.storage_watch import storage_watched
from raypipe.runtime.finish.timings import KeptTimings, read_timings
from raypipe.runtime.finish.versions import versions
from raypipe.runtime.infer.automatic import in_words
from raypipe.runtime.infer.devices import devices
from raypipe.runtime.infer.models import bring_weights, run_usage
from raypipe.runtime.infer.plan import ModelRun, Plan, make_plan
from raypipe.runtime.infer.shard_work import ShardSummary
from raypipe.runtime.infer.streaming import summaries
from raypipe.runtime.ray.session import ray_session
from raypipe.store.run_record import RunRecord, write_record
from raypipe.strategies.sweep import compared


def run(
    config: RunConfig, *, address: str | None = None, console: Console | None = None
) -> RunRecord:
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
    plan = make_plan(config, partial(devices, address))
    return carry_out(plan, address=address, console=console)


def carry_out(
    plan: Plan, *, address: str | None = None, console: Console | None = None
) -> RunRecord:
    """The rest of :func:`run` after everything was checked, from its plan."""
    console = console or Console()
    tables, metrics = plan.context.tables, plan.config.metrics
    earlier = finished_record(tables, metrics, plan.label_tables) if plan.is_done else None
    if earlier is not None:
        return _believable(plan, earlier, errors_by_cell(tables, earlier.run, _cells(plan)))
    if not (address or os.environ.get("RAY_ADDRESS")):
        # What Ray's workers say is not shown where all of them are on this machine.
        bring_weights(plan.config)
    with ray_session(address):
        return run_plan(plan, console)


def run_plan(plan: Plan, console: Console) -> RunRecord:
    """Carry out a plan on the connected Ray: stream, count, reduce, report.

    However it ends, ``run.json`` says so; only where it cannot be written, it stays ``running``.
    """
    record = _record(plan, datetime.now(UTC))
    tables = plan.context.tables
    write_record(tables, record)
    if plan.chosen:
        console.print(f"auto: {in_words(plan.chosen)}", highlight=False)
    with failures_recorded(tables, record, partial(run_usage, plan.config)):
        record, errors = _carried_out(plan, record, console)
    return _believable(plan, record, errors)


def _carried_out(
    plan: Plan, record: RunRecord, console: Console
) -> tuple[RunRecord, dict[ModelPrompt, ErrorTally]]:
    """The record of the finished run, and what failed."""
    context, clock = plan.context, time.monotonic()
    for model_run in plan.model_runs:
        if model_run.pending:
            several = len(plan.model_runs) > 1
            _stream(model_run, console, name=model_run.context.model if several else None)
    strategies = [variant.name for variant in context.variants]
    models = [model_run.context.model for model_run in plan.model_runs]
    cells = count_cells(
        context.tables,
        _predictions(plan),
        context.run,
        console,
        labels=context.labels,
        settings=plan.config.metrics,
        truth=plan.truth,
    )
    tallies = {cell: counted.tally for cell, counted in cells.items()}
    counts = counts_of(tallies, plan.model_runs[0].utterances, strategies)
    check_counts(counts)
    record = finished_now(
        record,
        clock,
        counts=counts,
        timings=read_timings(context.tables, models),
        api_usage=run_usage(plan.config),
    )
    reduce_tables(
        context.tables,
        cells,
        record,
        console,
        labels=context.labels,
        settings=plan.config.metrics,
        compared=compared(context.variants),
        truth=plan.truth,
    )
    write_record(context.tables, record)
    return record, {cell: tally.errors for cell, tally in tallies.items()}


def _believable(
    plan: Plan, record: RunRecord, errors: Mapping[ModelPrompt, ErrorTally]
) -> RunRecord:
    """The record of a finished run.

    Raises:
        ErrorShareError: if too many utterances failed; tables and report are written all the same.
    """
    utterances = plan.model_runs[0].utterances
    check_error_share(plan.context.tables, errors, utterances, plan.config.max_error_fraction)
    return record


def _cells(plan: Plan) -> list[ModelPrompt]:
    """Every model and prompt of the run, ensembles included."""
    models = [model_run.context.model for model_run in plan.model_runs]
    return [(model, name) for model in models for name in plan.context.all_prompts]


def _predictions(plan: Plan) -> dict[ModelPrompt, list[str]]:
    """Names of the run's ``predictions/`` objects by model and prompt."""
    return {
        (model_run.context.model, prompt): [
            model_run.context.object_name("predictions", prompt, task.entry.name)
            for task in model_run.tasks
        ]
        for model_run in plan.model_runs
        for prompt in model_run.context.all_prompts
    }


def _stream(model_run: ModelRun, console: Console, name: str | None) -> None:
    if name is not None:
        console.print(f"model {name}")
    generated = {task.entry.name for task in model_run.pending if task.generated}
    written = done = broken = 0
    limit = model_run.config.max_error_fraction
    stopped: ShardSummary | None = None
    places = (model_run.context.shards, model_run.context.tables)
    with (
        RunProgress(model_run.utterances, model_run.utterances_done, console) as progress,
        storage_watched(places, progress),
        KeptTimings(model_run.context.tables, model_run.context.model) as timings,
        closing(summaries(model_run, progress, console)) as stream,
    ):
        for summary in stream:
            done, broken = done + summary.utterances, broken + summary.broken
            timings.add(summary.timings)
            if summary.stopped is not None:
                stopped = stopped or summary
            elif summary.shard not in generated:
                written += 1
            if done >= FEWEST_UTTERANCES and broken > limit * done:
                context = model_run.context
                cells = [(context.model, name) for name in context.all_prompts]
                errors = errors_by_cell(context.tables, context.run, cells)
                raise too_many_errors(context.tables, errors, broken, done, limit)
            # All that was answered is written; the rest would be read to be stopped as well.
            if stopped is not None and written >= stopped.answered:
                break
    if stopped is not None:
        raise stopped.raised


def _record(plan: Plan, started: datetime) -> RunRecord:
    context = plan.context
    return RunRecord(
        name=plan.config.name,
        run=context.run,
        status="running",
        fingerprint=context.prediction_fingerprint,
        generation_fingerprint=context.generation_fingerprint,
        input_fingerprint=plan.index.fingerprint,
        identity=plan.identity,
        dataset=plan.index.dataset,
        labels=context.labels.names,
        vote_policy=context.policy,
        config=plan.config.model_dump(mode="json"),
        chosen=plan.chosen,
        seed=plan.config.metrics.seed,
        versions=versions(
            [model.engine for model in (*plan.config.all_models, plan.config.as_verifier().model)]
        ),
        started=started.isoformat(timespec="seconds"),
        label_tables=plan.label_tables,
    )
