"""A heads job from features to tables, metrics and report; the trainings are Ray tasks."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import ray
from ray.exceptions import RayError

from raypipe.reporting.console import Console
from raypipe.runtime.finish.aggregation import PredictionsOf
from raypipe.runtime.finish.counts import check_counts, counts_of
from raypipe.runtime.finish.ending import finished_now
from raypipe.runtime.finish.labels import table_instead
from raypipe.runtime.finish.output import finished_record
from raypipe.runtime.finish.partition import ModelPrompt, partition
from raypipe.runtime.finish.progress import RunProgress
from raypipe.runtime.finish.reduce import count_cells, reduce_tables
from raypipe.runtime.finish.tally import CellTally
from raypipe.runtime.finish.versions import versions
from raypipe.runtime.heads.beside import CopiedCell, copy_predictions
from raypipe.runtime.heads.config import HeadsConfig
from raypipe.runtime.heads.gains import Comparison, fold_answers, write_gains
from raypipe.runtime.heads.plan import EncoderFeatures, HeadCell, HeadsPlan, plan_heads
from raypipe.runtime.heads.work import (
    EncodedCorpus,
    FailedRow,
    HeadTask,
    folds_of,
    read_corpus,
    read_test_probs,
    shard_predictions,
    tested_ids,
    train_task,
    untested,
)
from raypipe.runtime.ray.session import own_error, ray_session
from raypipe.runtime.ray.tasks import in_order
from raypipe.ssl.folds import Fold
from raypipe.ssl.gains import FoldAnswers
from raypipe.store.objects import object_bytes
from raypipe.store.run_record import RunCounts, RunRecord, write_record
from raypipe.store.tables import errors_table


def heads(
    config: HeadsConfig,
    *,
    address: str | None = None,
    console: Console | None = None,
) -> RunRecord:
    """Train every head that the config asks for and put its test predictions into tables.

    The same config again continues an interrupted job and does nothing to a finished one.

    Args:
        config: what to do.
        address: of a Ray cluster; None for ``RAY_ADDRESS``, else an embedded local Ray.
        console: where progress goes.

    Returns:
        The record, as written to ``run.json``.

    Raises:
        RaypipeError: if the config, the features, the storage or the accounting is wrong.
    """
    plan = plan_heads(config)
    return carry_out_heads(plan, address=address, console=console)


def carry_out_heads(
    plan: HeadsPlan, *, address: str | None = None, console: Console | None = None
) -> RunRecord:
    """The rest of :func:`heads` after everything was checked, from its plan."""
    console = console or Console()
    finished = finished_record(plan.tables, plan.config.metrics, plan.label_tables)
    if finished is not None:
        return finished
    with ray_session(address):
        return _train_and_reduce(plan, console)


def _train_and_reduce(plan: HeadsPlan, console: Console) -> RunRecord:
    started, clock = datetime.now(UTC), time.monotonic()
    record = _record(plan, started)
    write_record(plan.tables, record)
    objects: dict[ModelPrompt, list[str]] = {}
    compared: dict[Comparison, dict[str, list[FoldAnswers]]] = {}
    put_in = 0
    tested: dict[str, set[str]] = {}
    for features, cells in plan.of_encoder().items():
        corpus = read_corpus(plan.source, features)
        folds = folds_of(corpus, plan.config)
        put_in = sum(len(fold.test) for fold in folds)
        failed = untested(corpus, folds, plan.config)
        put_in += sum(row.utterances for row in failed)
        for shard, ids in tested_ids(corpus, folds, failed).items():
            tested.setdefault(shard, set()).update(ids)
        _train(plan, features, cells, corpus, folds, console)
        for cell in cells:
            key = (features.encoder, cell.prompt)
            objects[key] = _write_cell(plan, cell, corpus, folds, failed)
        for comparison, answers in fold_answers(plan, cells, corpus, folds).items():
            compared.setdefault(comparison, {})[features.encoder] = answers
    trained = tuple(objects)
    copied: Mapping[ModelPrompt, CopiedCell] = {}
    if plan.beside is not None:
        copied = copy_predictions(
            plan.beside,
            plan.tables,
            {shard: frozenset(ids) for shard, ids in tested.items()},
            run=plan.run,
            fingerprint=plan.fingerprint,
        )
        objects |= {cell: list(copy.objects) for cell, copy in copied.items()}
    metrics = plan.config.metrics
    counted = count_cells(
        plan.tables,
        objects,
        plan.run,
        console,
        labels=plan.labels,
        settings=metrics,
        truth=plan.truth,
    )
    tallies = {cell: found.tally for cell, found in counted.items()}
    counts = counts_of({cell: tallies[cell] for cell in trained}, put_in, plan.config.strategies())
    if copied:
        counts = _with_copies(counts, trained, tallies, copied, sum(map(len, tested.values())))
    check_counts(counts)
    write_gains(plan.tables, compared, metrics, run=plan.run, fingerprint=plan.fingerprint)
    record = finished_now(
        record,
        clock,
        counts=counts,
    )
    reduce_tables(
        plan.tables,
        counted,
        record,
        console,
        labels=plan.labels,
        settings=metrics,
        truth=plan.truth,
    )
    write_record(plan.tables, record)
    return record


def _with_copies(
    counts: RunCounts,
    trained: Sequence[ModelPrompt],
    tallies: Mapping[ModelPrompt, CellTally],
    copied: Mapping[ModelPrompt, CopiedCell],
    tested: int,
) -> RunCounts:
    """Counts of heads and of what stands beside them; strategies differ, so only cells have any."""
    cells = list(counts.cells)
    if not cells:
        [(model, prompt)] = trained
        cells = [counts.model_copy(update={"model": model, "prompt": prompt})]
    for (model, prompt), copy in copied.items():
        cell = counts_of({(model, prompt): tallies[model, prompt]}, tested, copy.strategies)
        cells.append(cell.model_copy(update={"model": model, "prompt": prompt}))
    return RunCounts(
        input=sum(cell.input for cell in cells),
        predicted=sum(cell.predicted for cell in cells),
        errors=sum(cell.errors for cell in cells),
        strategies={},
        utterances=cells[0].input,
        cells=tuple(cells),
    )


def _tasks(plan: HeadsPlan, cell: HeadCell, folds: Sequence[Fold]) -> list[HeadTask]:
    return [
        HeadTask(cell, strategy, seed, number, fold)
        for seed, strategy in zip(plan.config.seeds, plan.config.strategies(), strict=True)
        for number, fold in enumerate(folds)
    ]


def _train(
    plan: HeadsPlan,
    features: EncoderFeatures,
    cells: Sequence[HeadCell],
    corpus: EncodedCorpus,
    folds: Sequence[Fold],
    console: Console,
) -> None:
    """Every training of one encoder's features, side by side."""
    tasks = [task for cell in cells for task in _tasks(plan, cell, folds)]
    console.print(
        f"{features.encoder}: {len(tasks)} trainings on {len(corpus.utterances)} clips, "
        f"{'the official splits' if len(folds) == 1 else f'{len(folds)} folds by speaker'}",
        highlight=False,
    )
    remote = ray.remote(num_cpus=plan.config.cpus_per_head)(train_task)
    shared = ray.put(corpus)
    with RunProgress(len(tasks), 0, console, what="heads", waiting="training") as progress:
        try:
            shared_by_all = (shared, plan.labels, plan.tables, plan.fingerprint, plan.truth)
            for _ in in_order(remote, tasks, *shared_by_all):
                progress.advance(1, 0)
        except RayError as error:
            raise own_error(error) from error


def _write_cell(
    plan: HeadsPlan,
    cell: HeadCell,
    corpus: EncodedCorpus,
    folds: Sequence[Fold],
    failed: Sequence[FailedRow],
) -> list[str]:
    """Write a cell's errors and predictions, shard by shard; names of the latter."""
    model = cell.features.encoder
    probs = read_test_probs(plan.tables, _tasks(plan, cell, folds))
    whose = PredictionsOf(plan.run, model, plan.labels, plan.record.vote_policy)
    truth = table_instead(plan.truth.instead)
    names = []
    for number, shard in enumerate(corpus.shards):
        own = [row for row in failed if row.shard == number]
        errors = errors_table(
            [(row.row, row.failure) for row in own],
            run=plan.run,
            shard=shard,
            shard_rows=sum(row.utterances for row in own if row.row is None),
            model=model,
            prompt=cell.prompt,
        )
        predictions = shard_predictions(corpus, number, probs, whose, cell.prompt, truth)
        copies = {"errors": errors} if errors.num_rows else {}
        for table, rows in {**copies, "predictions": predictions}.items():
            name = f"{table}/{partition(model, cell.prompt)}/{shard}"
            data = object_bytes(rows, model=model, prompt=cell.prompt, fingerprint=plan.fingerprint)
            plan.tables.write_new(name, data, plan.fingerprint)
        names.append(name)
    return names


def _record(plan: HeadsPlan, started: datetime) -> RunRecord:
    source = plan.record
    return RunRecord(
        name=plan.config.name,
        run=plan.run,
        status="running",
        fingerprint=plan.fingerprint,
        generation_fingerprint=plan.fingerprint,
        input_fingerprint=source.input_fingerprint,
        identity={cell.features.encoder: cell.features.fingerprint for cell in plan.cells}
        | {f"label table {table.name}": table.fingerprint for table in plan.truth.all},
        dataset=source.dataset,
        labels=source.labels,
        vote_policy=source.vote_policy,
        config=plan.config.model_dump(mode="json"),
        seed=plan.config.metrics.seed,
        versions=versions(),
        started=started.isoformat(timespec="seconds"),
        label_tables=plan.label_tables,
    )
