"""Predictions and metrics of a finished run, made again without a model, a tokenizer or audio.

All that predictions need stands in the run: hypotheses, votes and soft labels in ``generations/``
(label set and emotion tokens in its metadata), what failed in ``errors/``, the config in
``run.json``. The run is only read; what comes out is a run directory of its own. Where nothing is
changed, its ``predictions/``, ``errors/`` and ``metrics/`` are those of the run, byte for byte.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import ray
from ray.exceptions import RayError

from raypipe.errors import ShardError
from raypipe.reporting.console import Console
from raypipe.runtime.finish.counts import check_counts, counts_of
from raypipe.runtime.finish.ending import failures_recorded, finished_now
from raypipe.runtime.finish.output import finished_record
from raypipe.runtime.finish.progress import RunProgress
from raypipe.runtime.finish.reduce import count_cells, reduce_tables
from raypipe.runtime.finish.storage_watch import storage_watched
from raypipe.runtime.finish.versions import versions
from raypipe.runtime.ray.session import own_error, ray_session
from raypipe.runtime.ray.tasks import in_order
from raypipe.runtime.reaggregate.fitting import fit_strategies
from raypipe.runtime.reaggregate.plan import Changes, ReaggregationPlan, plan_reaggregation
from raypipe.runtime.reaggregate.work import (
    ReaggregationWork,
    broken_shards,
    reaggregate_part,
)
from raypipe.store.parquet import to_parquet_bytes
from raypipe.store.run_record import MadeFrom, RunRecord, write_record
from raypipe.store.schemas import SETTINGS
from raypipe.store.strict import table_from_rows
from raypipe.strategies import SETTINGS as STRATEGY_SETTINGS
from raypipe.strategies.fitting import fitted_splits
from raypipe.strategies.setting import SECTIONS
from raypipe.strategies.sweep import used_settings


def reaggregate(
    run: str,
    changes: Changes,
    *,
    output: str | None = None,
    endpoint: str | None = None,
    address: str | None = None,
    console: Console | None = None,
) -> RunRecord:
    """Read a finished run's hypotheses again under other settings.

    The same call again continues an interrupted one and does nothing to a finished one.

    Args:
        run: directory or ``s3://`` URI of the run; it is not changed.
        changes: what is to be different from the run.
        output: where the tables go; default: beside the run, under its name and the new id.
        endpoint: of an S3-compatible server, for both.
        address: of a Ray cluster; None for ``RAY_ADDRESS``, else an embedded local Ray.
        console: where progress goes.

    Returns:
        The record of the new run directory, as written to its ``run.json``.

    Raises:
        RaypipeError: if the run is unfinished or damaged, a change cannot be, or the output
            holds something else.
    """
    plan = plan_reaggregation(run, changes, output=output, endpoint=endpoint)
    return carry_out(plan, address=address, console=console)


def carry_out(
    plan: ReaggregationPlan, *, address: str | None = None, console: Console | None = None
) -> RunRecord:
    """The rest of :func:`reaggregate` after everything was checked, from its plan."""
    console = console or Console()
    tables, metrics = plan.work.output, plan.config.metrics
    finished = None if plan.pending else finished_record(tables, metrics, plan.label_tables)
    if finished is not None:
        return finished
    with ray_session(address):
        return _predict_and_reduce(plan, console)


def _predict_and_reduce(plan: ReaggregationPlan, console: Console) -> RunRecord:
    started, clock = datetime.now(UTC), time.monotonic()
    # Before anything else is written: what cannot be fitted leaves no output behind.
    work = replace(plan.work, fits=fit_strategies(plan, console))
    tables = work.output
    record = _record(plan, started)
    write_record(tables, record)
    with failures_recorded(tables, record):
        return _carried_out(plan, work, record, clock, console)


def _carried_out(
    plan: ReaggregationPlan,
    work: ReaggregationWork,
    record: RunRecord,
    clock: float,
    console: Console,
) -> RunRecord:
    tables = work.output
    tables.write("settings/settings.parquet", _settings_bytes(plan))
    _read_shards(plan, work, console)
    names = [variant.name for variant in work.variants]
    counted = plan.source_record.done_counts
    utterances = counted.input if counted.utterances is None else counted.utterances
    models = [model.label for model in plan.config.all_models]
    objects = {
        (model, prompt): [
            part.object_name("predictions", prompt) for part in plan.parts if part.model == model
        ]
        for model in models
        for prompt in work.all_prompts
    }
    cells = count_cells(
        tables,
        objects,
        work.run,
        console,
        labels=work.labels,
        settings=plan.config.metrics,
        truth=plan.truth,
    )
    tallies = {cell: counted.tally for cell, counted in cells.items()}
    counts = counts_of(tallies, utterances, names, fitted_splits(work.variants))
    check_counts(counts)
    record = finished_now(
        record,
        clock,
        counts=counts,
    )
    reduce_tables(
        tables,
        cells,
        record,
        console,
        labels=work.labels,
        settings=plan.config.metrics,
        compared=plan.compared,
        truth=plan.truth,
    )
    write_record(tables, record)
    return record


def _read_shards(plan: ReaggregationPlan, work: ReaggregationWork, console: Console) -> None:
    """Every pending shard; one that cannot be read stops nothing but the end."""
    task = ray.remote(num_cpus=1)(reaggregate_part)
    broken: list[str] = []
    done = len(plan.parts) - len(plan.pending)
    progress = RunProgress(len(plan.parts), done, console, what="shards", waiting="reading")
    with progress, storage_watched((work.source, work.output), progress):
        try:
            for failure in in_order(task, plan.pending, ray.put(work)):
                progress.advance(1, int(failure is not None))
                if failure is not None:
                    broken.append(failure)
        except RayError as error:
            raise own_error(error) from error
    if broken:
        raise ShardError(broken_shards(broken))


def _record(plan: ReaggregationPlan, started: datetime) -> RunRecord:
    """As a run's own record, with what it was made from and what every strategy name means."""
    source, work = plan.source_record, plan.work
    config = plan.config.model_dump(mode="json")
    swept = {
        section: config[section]
        | {name: values for name, values in plan.swept.items() if section == _section(name)}
        for section in SECTIONS
    }
    return RunRecord(
        name=source.name,
        run=work.run,
        status="running",
        fingerprint=work.fingerprint,
        generation_fingerprint=source.generation_fingerprint,
        input_fingerprint=source.input_fingerprint,
        identity=plan.identity,
        dataset=source.dataset,
        labels=source.labels,
        vote_policy=source.vote_policy,
        config={**config, **swept},
        seed=plan.config.metrics.seed,
        versions=versions(),
        started=started.isoformat(timespec="seconds"),
        made_from=MadeFrom(
            run=source.run,
            location=work.source.uri,
            fingerprint=source.fingerprint,
            versions=source.versions,
        ),
        settings={row.pop("strategy"): row for row in _settings_rows(plan)},
        label_tables=plan.label_tables,
    )


def _section(setting: str) -> str:
    """Of the config, where a swept setting stands in the record."""
    known = STRATEGY_SETTINGS.get(setting)
    return "aggregation" if known is None else known.section  # sub_beams is none of them


def _settings_rows(plan: ReaggregationPlan) -> list[dict[str, Any]]:
    main = plan.config.decoding.beam_count
    return [
        {"strategy": variant.name, "rule": variant.strategy, **used_settings(variant)}
        | {"beam_count": variant.beam_count or main}
        for variant in plan.work.variants
    ]


def _settings_bytes(plan: ReaggregationPlan) -> bytes:
    empty = dict.fromkeys(SETTINGS.names)
    table = table_from_rows([{**empty, **row} for row in _settings_rows(plan)], SETTINGS)
    return to_parquet_bytes(table, {"raypipe.fingerprint": plan.work.fingerprint})
