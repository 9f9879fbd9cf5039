"""A judge job from its config to its win rate; models are Ray actors."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

import pyarrow as pa

from raypipe.errors import (
    StoppedError,
)
from raypipe.explain.judge.statistics import tallies_of
from raypipe.explain.judge.table import judged_pairs, win_rates_table
from raypipe.reporting.console import Console
from raypipe.reporting.judge.page import html_judgements
from raypipe.runtime.finish.counts import check_counts
from raypipe.runtime.finish.ending import failures_recorded, finished_now
from raypipe.runtime.finish.error_share import check_error_share, errors_by_cell
from raypipe.runtime.finish.progress import RunProgress
from raypipe.runtime.finish.report import REPORT
from raypipe.runtime.finish.versions import versions
from raypipe.runtime.infer.asking import load_model
from raypipe.runtime.infer.devices import devices
from raypipe.runtime.infer.model_actors import done_by_actors
from raypipe.runtime.infer.models import bring_weights, run_usage
from raypipe.runtime.judge.config import JudgeConfig
from raypipe.runtime.judge.plan import JudgeContext, JudgePlan, plan_judge
from raypipe.runtime.judge.reading import JudgePart
from raypipe.runtime.judge.work import JudgeSummary, judge_part
from raypipe.runtime.ray.session import ray_session
from raypipe.store.location import FINGERPRINT_KEY
from raypipe.store.objects import read_object
from raypipe.store.parquet import to_parquet_bytes
from raypipe.store.query import connect
from raypipe.store.run_record import RECORD, RunCounts, RunRecord, read_record, write_record

WIN_RATES_FILE = "win_rates.parquet"
"""What the verdicts come to, beside the job's ``run.json``."""


def judge(
    config: JudgeConfig, *, address: str | None = None, console: Console | None = None
) -> RunRecord:
    """Let a model choose between two systems' reasons, each pair asked about both ways.

    The same config again continues an interrupted job and asks nothing twice.

    Args:
        config: what to do.
        address: of a Ray cluster; None for ``RAY_ADDRESS``, else an embedded local Ray.
        console: where progress goes.

    Returns:
        The record, as written to ``run.json``.

    Raises:
        RaypipeError: if the config, the answers, the model, the storage or the accounting is wrong.
    """
    plan = plan_judge(config, partial(devices, address))
    return carry_out_judge(plan, address=address, console=console)


def carry_out_judge(
    plan: JudgePlan, *, address: str | None = None, console: Console | None = None
) -> RunRecord:
    """The rest of :func:`judge` after everything was checked, from its plan."""
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
            bring_weights(plan.context.run_config)
            with ray_session(address):
                _ask_judges(plan, console)
        return _finished(plan, record, clock)


class JudgeActor:
    """Holds a judge; a fault of the model is told in the place of a part's summary."""

    def __init__(self, context: JudgeContext) -> None:
        self._context = context
        self._model = load_model(context.run_config, context.emotion_tokens)

    def judge(self, part: JudgePart) -> JudgeSummary:
        """Judge a part, or say why that cannot be."""
        if isinstance(self._model, str):
            return JudgeSummary(part.name, len(part.pairs), stopped=self._model)
        try:
            return judge_part(part, self._context, self._model)
        except StoppedError as error:
            return JudgeSummary(part.name, len(part.pairs), stopped=str(error), resumable=True)


def _ask_judges(plan: JudgePlan, console: Console) -> None:
    """Put every pending part to the model's actors.

    Raises:
        StoppedError: at the end of a budget.
        EngineError: if the model cannot be loaded, or most of a part's questions fail.
    """
    done = sum(len(part.pairs) for part in plan.parts if part.name in plan.done)
    summaries: Iterator[JudgeSummary] = done_by_actors(
        JudgeActor,
        plan.context,
        plan.context.run_config,
        plan.pending,
        lambda held, part: held.judge.remote(part),
    )
    with RunProgress(len(plan.pairs.pairs), done, console, what="pairs") as progress:
        for summary in summaries:
            progress.advance(summary.pairs, summary.errors)


def _finished(plan: JudgePlan, record: RunRecord, clock: float) -> RunRecord:
    """Count, write the win rates, the report and the record."""
    context = plan.context
    rows = _read_parts(plan)
    counts = _counts(plan)
    check_counts(counts)
    errors = errors_by_cell(plan.tables, context.run, [(context.model, context.prompt)])
    check_error_share(plan.tables, errors, counts.input, plan.config.max_error_fraction)
    tallies = tallies_of(judged_pairs(rows), seed=plan.config.seed)
    metadata = {FINGERPRINT_KEY: context.fingerprint}
    rates = win_rates_table(tallies, context.systems)
    plan.tables.write(WIN_RATES_FILE, to_parquet_bytes(rates, metadata))
    record = finished_now(record, clock, counts=counts, api_usage=_usage(plan))
    plan.tables.write(REPORT, html_judgements(rows, record).encode())
    write_record(plan.tables, record)
    return record


def _read_parts(plan: JudgePlan) -> pa.Table:
    """The committed rows of the table ``judgements``, in the order of the pairs."""
    return pa.concat_tables(
        read_object(plan.tables, plan.context.object_name("judgements", part.name))
        for part in plan.parts
    )


def _counts(plan: JudgePlan) -> RunCounts:
    connection = connect(plan.tables)
    run = [plan.context.run]
    judged = connection.execute("SELECT count(*) FROM judgements WHERE run = ?", run).fetchone()
    errors = connection.execute("SELECT count(*) FROM errors WHERE run = ?", run).fetchone()
    assert judged is not None
    assert errors is not None
    return RunCounts(
        input=len(plan.pairs.pairs), predicted=judged[0], errors=errors[0], strategies={}
    )


def _usage(plan: JudgePlan) -> dict[str, object] | None:
    return run_usage(plan.context.run_config)


def _record(plan: JudgePlan, started: datetime) -> RunRecord:
    context = plan.context
    return RunRecord(
        name=plan.config.name,
        run=context.run,
        status="running",
        fingerprint=context.fingerprint,
        generation_fingerprint=context.fingerprint,
        input_fingerprint=plan.pairs.fingerprint,
        identity=plan.identity,
        labels=plan.labels.names,
        config=plan.config.model_dump(mode="json"),
        chosen=plan.chosen,
        seed=plan.config.seed,
        versions=versions([plan.config.model.engine]),
        started=started.isoformat(timespec="seconds"),
    )
