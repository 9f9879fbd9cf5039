"""Shards made ready by a process that a clip may end: that one is found and set aside.

Codecs and feature extractors are native code, which crashes on some of what it was not made for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from raypipe.config import RunConfig
from raypipe.engines.contract import Tagged
from raypipe.errors import CallError
from raypipe.isolation.child_process import ChildProcess
from raypipe.protocols import Frontend
from raypipe.records import Failure, Utterance
from raypipe.runtime.infer.answering import WindowInputs
from raypipe.runtime.infer.context import RunContext, ShardTask
from raypipe.runtime.infer.hosts import Host, OwnProcess, RenewedHost, failure_of
from raypipe.runtime.infer.models import make_frontend, models_awaited
from raypipe.runtime.infer.narrowing import narrowed
from raypipe.runtime.infer.preparing import (
    PreparedRows,
    PreparedShard,
    prepare_rows,
    read_data,
    read_rows,
    without_audio,
)

_Row = tuple[Utterance | None, tuple[WindowInputs, ...] | Failure, float | None]
"""What :class:`raypipe.runtime.infer.preparing.PreparedRows` says of a row."""

_WHOSE = "the frontend's"


class HostedFrontends:
    """Frontends of a run in their host.

    Args:
        config: of the run.
        context: of the run.
    """

    def __init__(self, config: RunConfig, context: RunContext) -> None:
        self._context = context
        self._verifier: Frontend[Tagged] | None = None
        with models_awaited(config):
            self._frontend = make_frontend(config.model)
            if context.verification is not None and not context.verification.own_model:
                self._verifier = make_frontend(config.as_verifier().model)

    def prepare(self, task: ShardTask, data: bytes, part: range | None = None) -> PreparedShard:
        """A shard, made ready for the model.

        Args:
            task: which shard.
            data: its object.
            part: rows that are made ready, neighbours; None for all.
        """
        rows = read_rows(data, task, self._context)
        if isinstance(rows, Failure):
            return PreparedShard(task, PreparedRows(), rows)
        part = range(len(rows)) if part is None else part
        made = prepare_rows(
            rows[part.start : part.stop],
            self._context,
            self._frontend,
            self._verifier,
            repeated={at - part.start: where for at, where in task.repeated.items() if at in part},
        )
        return PreparedShard(task, made)

    def read(
        self, task: ShardTask, data: bytes
    ) -> list[tuple[str | None, Utterance | None]] | Failure:
        """Id and utterance of every row, without its audio; or why the shard cannot be read."""
        rows = read_rows(data, task, self._context)
        if isinstance(rows, Failure):
            return rows
        return [(row.utterance_id, without_audio(row)) for row in rows]


@dataclass(frozen=True, slots=True)
class _RowOfShard:
    """A row whose shard could not be made ready at once.

    Attributes:
        at: its place in the shard.
    """

    at: int
    utterance_id: str | None
    utterance: Utterance | None

    def failed(self, error: CallError) -> list[_Row]:
        """What stands in its place."""
        return [(self.utterance, failure_of(self.utterance_id, "decode", error, _WHOSE), None)]


class SupervisedPreparing:
    """Makes shards ready; a row that ends the process that does it costs only itself.

    Args:
        config: of the run.
        context: of the run.
    """

    def __init__(self, config: RunConfig, context: RunContext) -> None:
        make = partial(HostedFrontends, config, context)
        start: Callable[[], Host] = partial(OwnProcess, make)
        if config.resources.isolate:
            start = partial(ChildProcess, make, load_limit_s=config.resources.load_timeout_s)
        self._context = context
        self._host = RenewedHost(start)
        self._limit_s = config.resources.call_timeout_s

    def prepare(self, task: ShardTask) -> PreparedShard:
        """A shard, read and made ready for the model.

        It is read here, where the storage may take its time.

        Raises:
            LostEngineError: if the process ends while frontends are loaded.
            RaypipeError: of raypipe, if no row is to blame.
        """
        data = read_data(task, self._context)
        if isinstance(data, Failure):
            return PreparedShard(task, PreparedRows(), data)
        try:
            shard: PreparedShard = self._host.call("prepare", task, data, limit_s=self._limit_s)
        except CallError as error:
            return self._in_parts(task, data, error)
        return shard

    def _in_parts(self, task: ShardTask, data: bytes, first: CallError) -> PreparedShard:
        try:
            rows = self._host.call("read", task, data, limit_s=self._limit_s)
        except CallError as error:
            rows = failure_of(None, "read", error, _WHOSE)
        if isinstance(rows, Failure):
            return PreparedShard(task, PreparedRows(), rows)

        def ask(part: Sequence[_RowOfShard], share: float) -> list[_Row]:
            if len(part) == len(rows):
                raise first
            wanted = range(part[0].at, part[-1].at + 1)
            limit_s = self._limit_s * share
            shard: PreparedShard = self._host.call("prepare", task, data, wanted, limit_s=limit_s)
            made = shard.rows
            return list(zip(made.utterances, made.windows, made.heard_s, strict=True))

        made = narrowed(
            [_RowOfShard(at, *row) for at, row in enumerate(rows)], ask, _RowOfShard.failed
        )
        utterances, windows, heard_s = zip(*made, strict=True)
        return PreparedShard(task, PreparedRows(utterances, windows, heard_s))
