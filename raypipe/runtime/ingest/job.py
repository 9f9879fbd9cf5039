"""An ingest from its config to shards and their index, on Ray."""

from __future__ import annotations

import pickle
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import ray
from ray.exceptions import RayError

from raypipe.corpora.containers import Container, container_labels
from raypipe.corpora.sources import Source
from raypipe.errors import AccountingError, ClusterError, ShardError
from raypipe.reporting.console import Console
from raypipe.runtime.finish.progress import RunProgress
from raypipe.runtime.finish.storage_watch import storage_watched
from raypipe.runtime.ingest.config import IngestConfig
from raypipe.runtime.ingest.plan import (
    IngestPlan,
    PreparedIngest,
    ShardLimits,
    claim,
    prepare_ingest,
    read_request,
)
from raypipe.runtime.ingest.scan import ContainerScan, check_any_container, scanned
from raypipe.runtime.ingest.work import (
    IngestContext,
    WrittenShard,
    names_of,
    write_shards,
)
from raypipe.runtime.ray.losses import TASK_PAUSES_S, loss
from raypipe.runtime.ray.session import own_error, ray_session
from raypipe.shards import (
    INDEX,
    INGEST_ERRORS,
    INGEST_EXCLUDED,
    ShardIndex,
    publish_index,
    read_index,
    write_failures,
)
from raypipe.store.location import Location
from raypipe.store.patience import storage_patience

# A task whose worker or node died is repeated three times by Ray; its own errors are told at once.
_task = ray.remote(num_cpus=1, max_retries=3, num_returns="streaming")

_Job = tuple[int, Callable[[], Any], str]
"""Number of a part, what starts the stream of its results, and a name for messages."""


def ingest(
    config: IngestConfig, *, address: str | None = None, console: Console | None = None
) -> ShardIndex:
    """Write a corpus as shards; the same call again continues an interrupted one.

    Beside the shards lie ``ingest_errors.parquet`` and ``ingest_excluded.parquet``, where there is
    something to tell, ``ingest.json``, which says what the place was begun with, and, last,
    ``shards.json``. The same source and config give the same bytes, with any number of workers.

    Args:
        config: what to read and how.
        address: of a Ray cluster; None for ``RAY_ADDRESS``, else an embedded local Ray.
        console: where progress goes.

    Returns:
        The index, as written to ``shards.json``.

    Raises:
        ConfigError: if the config fits neither the corpus nor its labels.
        CorpusError: if the source cannot be read as a whole.
        FingerprintError: if the output holds another ingest.
        StoreError: if the storage refuses.
    """
    return carry_out_ingest(prepare_ingest(config), address=address, console=console)


def carry_out_ingest(
    prepared: PreparedIngest, *, address: str | None = None, console: Console | None = None
) -> ShardIndex:
    """The rest of :func:`ingest` after its config and its place were checked."""
    console = console or Console()
    config, source, shards = prepared.config, prepared.source, prepared.shards
    labels, policy = prepared.labels, prepared.policy
    request = read_request(config, labels, policy)
    limits = ShardLimits(config.rows_per_shard, config.bytes_per_shard)
    with storage_patience(config.storage.patience_s), ExitStack() as stack, IngestPlan() as plan:
        opened = source.open(request)
        are_containers = isinstance(opened, Sequence)
        if isinstance(opened, Sequence):
            stack.enter_context(ray_session(address))
            plan.add_containers(opened, _scans(opened, config.workers, console), limits)
        else:
            with console.status("reading labels"):
                plan.add_clips(opened, labels, policy, limits)
        fingerprint = claim(shards, prepared.settings, plan)
        finished = _finished(shards, plan)
        if finished is not None:
            console.print(f"finished before: {shards.uri}", markup=False, soft_wrap=True)
            return finished
        if not are_containers:
            stack.enter_context(ray_session(address))
        context = IngestContext(
            *(shards, labels, policy, config.audio == "flac", fingerprint),
            config.limits.clip_limits(),
        )
        written = _written_shards(plan, context, config.workers, console)
        return _finish(config, source, context, plan, written)


def _finished(shards: Location, plan: IngestPlan) -> ShardIndex | None:
    """The index of a place that holds this very ingest whole; None if something is left to do.

    It is written last, after everything that it names, and the place was claimed for this ingest.
    """
    if not shards.exists(INDEX):
        return None
    index, there = read_index(shards), set(shards.list())
    named = {entry.name for entry in index.shards}
    named |= {INGEST_ERRORS} if index.failures else set()
    named |= {INGEST_EXCLUDED} if index.excluded else set()
    is_whole = plan.inputs == index.rows + index.failures + index.excluded and named <= there
    return index if is_whole else None


def _scans(
    containers: Sequence[Container], workers: int | None, console: Console
) -> list[ContainerScan]:
    """Ids and sizes in every container, in order; no audio is read."""
    scans: dict[int, ContainerScan] = {}
    scan = _task(_scan)
    jobs = (
        (number, partial(scan.remote, container, label), container.name)
        for number, (container, label) in enumerate(
            zip(containers, container_labels(containers), strict=True)
        )
    )
    with RunProgress(
        len(containers), 0, console, what="files", waiting="listing their clips"
    ) as progress:
        for number, result in _results(jobs, workers):
            scans[number] = result
            progress.advance(1, 0)
    listed = [scans[number] for number in range(len(containers))]
    check_any_container(listed)
    return listed


def _scan(container: Container, label: str) -> Iterator[ContainerScan]:
    yield scanned(container, label)


def _write_part(part: bytes, context: IngestContext) -> Iterator[WrittenShard]:
    yield from write_shards(pickle.loads(part), context)


def _written_shards(
    plan: IngestPlan, context: IngestContext, workers: int | None, console: Console
) -> list[WrittenShard]:
    """Every shard, in order."""
    shards: list[WrittenShard] = []
    write = _task(_write_part)
    jobs = (
        (number, partial(_started, write, part, context), names_of(part)[0])
        for number, part in enumerate(plan)
    )
    progress = RunProgress(plan.inputs, 0, console, what="clips", waiting="reading audio")
    with progress, storage_watched([context.shards], progress):
        for _, written in _results(jobs, workers):
            shards.append(written)
            progress.advance(written.outcome.inputs, len(written.outcome.failures))
    return sorted(shards, key=lambda shard: (len(shard.entry.name), shard.entry.name))


def _started(write: Any, part: object, context: IngestContext) -> Any:
    """Stream of a part's results."""
    return write.remote(pickle.dumps(part, protocol=5), context)


def _results(jobs: Iterator[_Job], workers: int | None) -> Iterator[tuple[int, Any]]:
    """Number of the task and result, for every result of streaming tasks as it arrives.

    A few more tasks than there are CPUs wait at Ray, so that no CPU waits for the driver; a task
    is made only then, so that its input is in no memory before. One that was lost with its node is
    started again; results that were there before are not given twice.

    Args:
        jobs: lazily.
        workers: most tasks at a time; None for the CPUs of the cluster.
    """
    running: dict[Any, _StreamingTask] = {}
    exhausted = False
    while running or not exhausted:
        most = workers or 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
        while not exhausted and len(running) < most:
            job = next(jobs, None)
            exhausted = job is None
            if job is not None:
                running[job[1]()] = _StreamingTask(*job)
        if not running:
            return
        [stream], _ = ray.wait([*running], num_returns=1, fetch_local=False)
        task = running[stream]
        try:
            result = ray.get(next(stream))
        except StopIteration:
            del running[stream]
            continue
        except RayError as error:
            del running[stream]
            running[task.start_again(error)] = task
            continue
        if task.is_new():
            yield task.number, result


@dataclass
class _StreamingTask:
    """A task that is under way.

    Attributes:
        number: of the part.
        start: gives its stream.
        name: for messages.
        given: results that were given on.
        seen: results that came of the stream that is running.
        losses: streams that were lost.
    """

    number: int
    start: Callable[[], Any]
    name: str
    given: int = 0
    seen: int = 0
    losses: int = 0

    def is_new(self) -> bool:
        """Whether a result that has come is another one than those given on."""
        self.seen += 1
        if self.seen <= self.given:
            return False
        self.given = self.seen
        return True

    def start_again(self, error: RayError) -> Any:
        """Another stream after one that was lost.

        Raises:
            RaypipeError: if the task itself has raised, or is lost time and again.
        """
        if loss(error) is None or self.losses == len(TASK_PAUSES_S):
            own = own_error(error)
            if isinstance(own, ClusterError):
                own = ShardError(f"{self.name}: {own}")
            raise own from error
        time.sleep(TASK_PAUSES_S[self.losses])
        self.losses += 1
        self.seen = 0
        return self.start()


def _finish(
    config: IngestConfig,
    source: Source,
    context: IngestContext,
    plan: IngestPlan,
    written: Sequence[WrittenShard],
) -> ShardIndex:
    """Write the tables of what was left out, then the index."""
    outcomes = [shard.outcome for shard in written]
    done = sum(outcome.inputs for outcome in outcomes)
    rows = sum(shard.entry.rows for shard in written)
    failures = [failure for outcome in outcomes for failure in outcome.failures]
    excluded = [failure for outcome in outcomes for failure in outcome.excluded]
    if not plan.inputs == done == rows + len(failures) + len(excluded):
        raise AccountingError(
            f"{plan.inputs} inputs were listed and {done} are done: {rows} utterances, "
            f"{len(failures)} failures, {len(excluded)} left out"
        )
    write_failures(context.shards, INGEST_ERRORS, failures)
    write_failures(context.shards, INGEST_EXCLUDED, excluded)
    kept: Counter[str] = Counter()
    for outcome in outcomes:
        kept.update(outcome.kept_original)
    return publish_index(
        context.shards,
        [shard.entry for shard in written if shard.entry.rows],
        context.labels,
        dataset="+".join(sorted({name for outcome in outcomes for name in outcome.datasets})),
        soft_label_rule=context.policy.rule,
        policy=context.policy,
        fixed_sentences=source.fixed_sentences,
        source=source.title or config.source,
        failures=len(failures),
        excluded=len(excluded),
        corpus=config.corpus,
        selection=config.selection or source.default_selection,
        options=dict(source.options),
        licence=source.licence,
        audio=config.audio,
        kept_original=_sorted(kept),
        votes=sum(outcome.votes for outcome in outcomes),
    )


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items()))
