"""A rationale job from its config to its table; models are Ray actors."""

from __future__ import annotations

import dataclasses
import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

import pyarrow as pa

from raypipe.errors import (
    AccountingError,
    ErrorShareError,
    StoppedError,
)
from raypipe.explain.rationale.findings import COUNTS, RationaleFindings, rationale_findings
from raypipe.explain.rationale.table import left_out_of
from raypipe.reporting.console import Console
from raypipe.reporting.rationale.page import html_rationales
from raypipe.runtime.finish.counts import check_counts
from raypipe.runtime.finish.ending import failures_recorded, finished_now
from raypipe.runtime.finish.progress import RunProgress
from raypipe.runtime.finish.report import REPORT
from raypipe.runtime.finish.versions import versions
from raypipe.runtime.infer.asking import load_model
from raypipe.runtime.infer.context import ShardTask
from raypipe.runtime.infer.devices import devices
from raypipe.runtime.infer.model_actors import done_by_actors
from raypipe.runtime.infer.models import bring_weights, run_usage
from raypipe.runtime.rationale.config import RationaleConfig
from raypipe.runtime.rationale.plan import (
    ModelToAsk,
    RationaleContext,
    RationalePlan,
    plan_rationale,
)
from raypipe.runtime.rationale.work import RationaleSummary, rationale_shard
from raypipe.runtime.ray.session import ray_session
from raypipe.store.objects import read_object
from raypipe.store.run_record import RECORD, RunCounts, RunRecord, read_record, write_record


def rationale(
    config: RationaleConfig, *, address: str | None = None, console: Console | None = None
) -> RunRecord:
    """Let a teacher explain the gold labels of training utterances.

    The same config again continues an interrupted job and asks nothing twice.

    Args:
        config: what to do.
        address: of a Ray cluster; None for ``RAY_ADDRESS``, else an embedded local Ray.
        console: where progress goes.

    Returns:
        The record, as written to ``run.json``.

    Raises:
        RaypipeError: if the config, the input, the model, the storage or the accounting is wrong.
    """
    plan = plan_rationale(config, partial(devices, address))
    return carry_out_rationale(plan, address=address, console=console)


def carry_out_rationale(
    plan: RationalePlan, *, address: str | None = None, console: Console | None = None
) -> RunRecord:
    """The rest of :func:`rationale` after everything was checked, from its plan."""
    console = console or Console()
    if not plan.pending and plan.tables.exists(RECORD):
        record = read_record(plan.tables)
        if record.status == "finished":
            return record
    started, clock = datetime.now(UTC), time.monotonic()
    record = _record(plan, started)
    write_record(plan.tables, record)
    with failures_recorded(plan.tables, record, partial(_usage, plan)):
        if plan.pending:
            for model in _models(plan.context):
                bring_weights(model.run)
            with ray_session(address):
                _ask_models(plan, console)
        return _finished(plan, record, clock)


def findings_of(plan: RationalePlan) -> RationaleFindings:
    """Findings about a finished job."""
    rows, left_out = _read_shards(plan)
    return rationale_findings(rows, left_out)


def _models(context: RationaleContext) -> list[ModelToAsk]:
    return [context.teacher, *([] if context.guesser is None else [context.guesser])]


class RationaleActor:
    """Holds the models; a fault of one is told in the place of a shard's summary."""

    def __init__(self, context: RationaleContext) -> None:
        self._context = context
        self._models = [load_model(item.run, item.emotion_tokens) for item in _models(context)]

    def explain(self, task: ShardTask, again: bool) -> RationaleSummary:
        """Ask about a shard, or say why that cannot be."""
        faults = [model for model in self._models if isinstance(model, str)]
        if faults:
            return RationaleSummary(task.entry.name, stopped=faults[-1])
        teacher, *guessers = [model for model in self._models if not isinstance(model, str)]
        guesser = guessers[0] if guessers else None
        try:
            return rationale_shard(task, self._context, teacher, guesser, again=again)
        except StoppedError as error:
            return RationaleSummary(task.entry.name, stopped=str(error), resumable=True)


def _ask_models(plan: RationalePlan, console: Console) -> None:
    """Put every pending shard to the actors.

    Raises:
        StoppedError: at the end of a budget.
        EngineError: if a model cannot be loaded, or most of a shard's requests fail.
    """
    asked = {task.entry.name: plan.asked_in(task) for task in plan.tasks}
    done = sum(asked[name] for name in plan.done)
    summaries: Iterator[RationaleSummary] = done_by_actors(
        RationaleActor,
        plan.context,
        plan.context.teacher.run,
        plan.pending,
        lambda held, task: held.explain.remote(task, task.entry.name in plan.again),
    )
    with RunProgress(sum(asked.values()), done, console) as progress:
        for summary in summaries:
            progress.advance(asked[summary.shard], summary.errors)


def _finished(plan: RationalePlan, record: RunRecord, clock: float) -> RunRecord:
    """Count, write the findings and the record."""
    rows, left_out = _read_shards(plan)
    counts = _counts(plan, rows, left_out)
    check_counts(counts)
    findings = rationale_findings(rows, left_out)
    document = json.dumps(dataclasses.asdict(findings), indent=2, ensure_ascii=False)
    plan.tables.write(COUNTS, f"{document}\n".encode())
    record = finished_now(record, clock, counts=counts, api_usage=_usage(plan))
    plan.tables.write(REPORT, html_rationales(findings, record).encode())
    write_record(plan.tables, record)
    return record


def _read_shards(plan: RationalePlan) -> tuple[pa.Table, dict[str, int]]:
    """The committed rows of all shards in corpus order, and what was left out, by reason."""
    context = plan.context
    left_out: Counter[str] = Counter()
    tables = []
    for task in plan.tasks:
        rows = read_object(plan.tables, context.object_name(context.table, task.entry.name))
        left_out.update(left_out_of(rows))
        tables.append(rows.replace_schema_metadata(None))
    return pa.concat_tables(tables), dict(left_out)


def _counts(plan: RationalePlan, rows: pa.Table, left_out: dict[str, int]) -> RunCounts:
    """Counts of the utterances that were to be asked about.

    Raises:
        AccountingError: if rows of the shards are neither asked about, nor failed, nor left out.
        ErrorShareError: if raypipe or the model failed too many, or nothing is left.
    """
    context = plan.context
    errors = pa.concat_tables(
        read_object(plan.tables, context.object_name("errors", task.entry.name))
        for task in plan.tasks
    ).to_pylist()
    failed = sum(row["utterances"] for row in errors)
    total = sum(task.take for task in plan.tasks)
    if len(rows) + failed + sum(left_out.values()) != total:
        raise AccountingError(
            f"{total} utterances in the shards, {len(rows)} answered about, {failed} errors, "
            f"{sum(left_out.values())} left out"
        )
    asked = len(rows) + failed
    broken = [row for row in errors if not row["refusal"]]
    limit = plan.config.max_error_fraction
    if not len(rows):
        raise ErrorShareError(
            f"none of {asked} utterances could be asked about (such as: {errors[0]['message']}); "
            f"errors are in {plan.tables.uri}"
        )
    if sum(row["utterances"] for row in broken) > limit * asked:
        raise ErrorShareError(
            f"{sum(row['utterances'] for row in broken)} of {asked} utterances failed, more than "
            f"max_error_fraction {limit:g} (such as: {broken[0]['message']}); tables are in "
            f"{plan.tables.uri}. The same command asks about them again"
        )
    return RunCounts(input=asked, predicted=len(rows), errors=failed, strategies={})


def _usage(plan: RationalePlan) -> dict[str, object] | None:
    return run_usage(*(model.run for model in _models(plan.context)))


def _record(plan: RationalePlan, started: datetime) -> RunRecord:
    context = plan.context
    return RunRecord(
        name=plan.config.name,
        run=context.run,
        status="running",
        fingerprint=context.fingerprint,
        generation_fingerprint=context.fingerprint,
        input_fingerprint=plan.index.fingerprint,
        identity=plan.identity,
        dataset=plan.index.dataset,
        labels=context.labels.names,
        vote_policy=plan.index.policy,
        config=plan.config.model_dump(mode="json"),
        chosen=plan.chosen,
        seed=0,
        versions=versions([model.run.model.engine for model in _models(context)]),
        started=started.isoformat(timespec="seconds"),
    )
