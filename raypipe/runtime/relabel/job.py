"""A relabel job from its config to its label table; models are Ray actors."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

import pyarrow as pa

from raypipe.errors import (
    ErrorShareError,
    StoppedError,
)
from raypipe.relabel.label_table import LABEL_CSV, LABEL_TABLE, label_csv
from raypipe.relabel.rounds import REQUEST_FAILED
from raypipe.reporting.console import Console
from raypipe.reporting.relabel.page import html_relabelling
from raypipe.runtime.finish.counts import check_counts
from raypipe.runtime.finish.ending import failures_recorded, finished_now
from raypipe.runtime.finish.progress import RunProgress
from raypipe.runtime.finish.report import REPORT
from raypipe.runtime.finish.versions import versions
from raypipe.runtime.infer.asking import load_model
from raypipe.runtime.infer.devices import devices
from raypipe.runtime.infer.model_actors import done_by_actors
from raypipe.runtime.infer.models import bring_weights, run_usage
from raypipe.runtime.ray.session import ray_session
from raypipe.runtime.relabel.config import RelabelConfig
from raypipe.runtime.relabel.plan import RelabelContext, RelabelPlan, plan_relabel
from raypipe.runtime.relabel.reading import Part
from raypipe.runtime.relabel.work import PartSummary, relabel_part
from raypipe.store.location import FINGERPRINT_KEY
from raypipe.store.objects import read_object
from raypipe.store.parquet import to_parquet_bytes
from raypipe.store.query import connect
from raypipe.store.run_record import RECORD, RunCounts, RunRecord, read_record, write_record


def relabel(
    config: RelabelConfig, *, address: str | None = None, console: Console | None = None
) -> RunRecord:
    """Let a model change label distributions by what annotators wrote.

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
    plan = plan_relabel(config, partial(devices, address))
    return carry_out_relabel(plan, address=address, console=console)


def carry_out_relabel(
    plan: RelabelPlan, *, address: str | None = None, console: Console | None = None
) -> RunRecord:
    """The rest of :func:`relabel` after everything was checked, from its plan."""
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
                _ask_models(plan, console)
        return _finished(plan, record, clock)


class RelabelActor:
    """Holds a model; a fault of the model is told in the place of a part's summary."""

    def __init__(self, context: RelabelContext) -> None:
        self._context = context
        self._model = load_model(context.run_config, context.emotion_tokens)

    def relabel(self, part: Part) -> PartSummary:
        """Relabel a part, or say why that cannot be."""
        if isinstance(self._model, str):
            return PartSummary(part.name, part.utterances, stopped=self._model)
        try:
            return relabel_part(part, self._context, self._model)
        except StoppedError as error:
            return PartSummary(part.name, part.utterances, stopped=str(error), resumable=True)


def _ask_models(plan: RelabelPlan, console: Console) -> None:
    """Put every pending part to the model's actors.

    Raises:
        StoppedError: at the end of a budget.
        EngineError: if the model cannot be loaded, or most of a part's requests fail.
    """
    done = sum(part.utterances for part in plan.parts if part.name in plan.done)
    total = sum(part.utterances for part in plan.parts)
    summaries: Iterator[PartSummary] = done_by_actors(
        RelabelActor,
        plan.context,
        plan.context.run_config,
        plan.pending,
        lambda held, part: held.relabel.remote(part),
    )
    with RunProgress(total, done, console) as progress:
        for summary in summaries:
            progress.advance(summary.utterances, summary.errors + summary.left)


def _finished(plan: RelabelPlan, record: RunRecord, clock: float) -> RunRecord:
    """Count, write the label table and the record."""
    context = plan.context
    rows = _read_parts(plan)
    counts = _counts(plan)
    check_counts(counts)
    _check_failures(plan)
    metadata = {FINGERPRINT_KEY: context.fingerprint}
    plan.tables.write(LABEL_TABLE, to_parquet_bytes(rows, metadata))
    plan.tables.write(LABEL_CSV, label_csv(rows, context.labels).encode())
    record = finished_now(record, clock, counts=counts, api_usage=_usage(plan))
    plan.tables.write(REPORT, html_relabelling(rows, record).encode())
    write_record(plan.tables, record)
    return record


def _read_parts(plan: RelabelPlan) -> pa.Table:
    """The committed rows of the table ``labels``, in corpus order."""
    parts = [
        read_object(plan.tables, plan.context.object_name("labels", part.name))
        for part in plan.parts
    ]
    return pa.concat_tables(parts).replace_schema_metadata(parts[0].schema.metadata)


def _counts(plan: RelabelPlan) -> RunCounts:
    connection = connect(plan.tables)
    run = [plan.context.run]
    labelled = connection.execute("SELECT count(*) FROM labels WHERE run = ?", run).fetchone()
    errors = connection.execute(
        "SELECT coalesce(sum(utterances), 0) FROM errors WHERE run = ?", run
    ).fetchone()
    assert labelled is not None
    assert errors is not None
    return RunCounts(
        input=sum(part.utterances for part in plan.parts),
        predicted=labelled[0],
        errors=int(errors[0]),
        strategies={},
    )


def _check_failures(plan: RelabelPlan) -> None:
    """Refuse a label table of which too many items were never read.

    Raises:
        ErrorShareError: with one of the reasons.
    """
    row = (
        connect(plan.tables)
        .execute(
            "SELECT count(*), count(*) FILTER (failed), min(faults[-1]) FILTER (failed) FROM"
            " (SELECT *, status = 'left' AND starts_with(faults[-1], ?) AS failed"
            " FROM labels WHERE run = ? AND status <> 'not_asked')",
            [REQUEST_FAILED, plan.context.run],
        )
        .fetchone()
    )
    assert row is not None
    asked, failed, example = row
    limit = plan.config.max_error_fraction
    if failed > limit * asked:
        raise ErrorShareError(
            f"the requests of {failed} of {asked} items failed, more than max_error_fraction "
            f"{limit:g} (such as: {example}); tables are in {plan.tables.uri}. The same command "
            "asks about them again"
        )


def _usage(plan: RelabelPlan) -> dict[str, object] | None:
    return run_usage(plan.context.run_config)


def _record(plan: RelabelPlan, started: datetime) -> RunRecord:
    index, context = plan.corpus.index, plan.context
    return RunRecord(
        name=plan.config.name,
        run=context.run,
        status="running",
        fingerprint=context.fingerprint,
        generation_fingerprint=context.fingerprint,
        input_fingerprint=plan.corpus.fingerprint,
        identity=plan.identity,
        dataset=plan.corpus.dataset,
        labels=context.labels.names,
        vote_policy=None if index is None else index.policy,
        config=plan.config.model_dump(mode="json"),
        chosen=plan.chosen,
        seed=0,
        versions=versions([plan.config.model.engine]),
        started=started.isoformat(timespec="seconds"),
    )
