"""Consecutive shards that a model answers in one call, so that its rows stay full at their borders.

An engine fills the row of an utterance that has ended with the next one; at the end of a call rows
stay empty, one after the other. Which shards share a call depends on their order alone, never on
what is done: the numbers of an answer may depend, in their last bits, on the answers beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from raypipe.engines.contract import Tagged
from raypipe.engines.plugins import load_plugin
from raypipe.protocols import RunEngine
from raypipe.runtime.finish.timings import Timing
from raypipe.runtime.infer.context import RunContext, ShardTask
from raypipe.runtime.infer.plan import ModelRun
from raypipe.runtime.infer.preparing import PreparedRows, PreparedShard
from raypipe.runtime.infer.shard_work import (
    AnsweredRows,
    AnsweredShard,
    Verifier,
    answer_rows,
    verify_rows,
)

_FILLINGS = 40
"""How often a call fills every row: what stays empty at its end is then some 2 % of the steps."""

_MOST_AUDIO_S = 4 * 3600.0
"""Of the clips of a call: their features, some 50 kB a second, wait in memory together."""

_FEWEST_CALLS = 32
"""Of a run, so that many actors get an equal share."""


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive shards on their way through the stream together.

    Attributes:
        tasks: the shards, in order.
        missing: names of those that are not done; the others are answered again beside them, and
            not written.
    """

    tasks: tuple[ShardTask, ...]
    missing: frozenset[str]

    @property
    def name(self) -> str:
        """Name of its first shard."""
        return self.tasks[0].entry.name

    @property
    def is_generated(self) -> bool:
        """Whether only the CPU part is left; it is then a single shard."""
        return all(task.generated for task in self.tasks)


@dataclass(frozen=True, slots=True)
class PreparedSpan:
    """Shards that are ready for the model."""

    span: Span
    shards: tuple[PreparedShard, ...]


@dataclass(frozen=True, slots=True)
class AnsweredSpan:
    """Shards with all their answers."""

    span: Span
    shards: tuple[AnsweredShard, ...]

    @property
    def missing(self) -> list[AnsweredShard]:
        """Those that are to be written."""
        return [shard for shard in self.shards if shard.task.entry.name in self.span.missing]


def spans_of(model_run: ModelRun) -> list[Span]:
    """What is left of a model's run, as it goes through the stream."""
    size = shards_per_call(model_run)
    spans = []
    for first in range(0, len(model_run.tasks), size):
        tasks = model_run.tasks[first : first + size]
        left = [task for task in tasks if task.entry.name not in model_run.done]
        asked = frozenset(task.entry.name for task in left if not task.generated)
        spans += [Span((task,), frozenset()) for task in left if task.generated]
        if asked:
            spans.append(Span(tasks, asked))
    return spans


def shards_per_call(model_run: ModelRun) -> int:
    """Number of consecutive shards that one call is about, from the config and the shards alone.

    ``auto`` is one for a service, where what is asked again may cost money, and where a clip is
    asked several questions one after the other: its encoding is kept meanwhile.
    """
    resources, tasks = model_run.config.resources, model_run.tasks
    if resources.shards_per_call != "auto":
        return resources.shards_per_call
    context = model_run.context
    asks_again = len(context.passes) > 1 or (
        context.verification is not None and context.verification.own_model
    )
    if asks_again or not load_plugin(model_run.config.model.engine).batched:
        return 1
    inputs = sum(task.take for task in tasks) * len(context.asked_prompts)
    audio_s = sum(task.entry.duration_s or 0.0 for task in tasks)
    return chosen_shards(len(tasks), inputs, audio_s, resources.rows)


def chosen_shards(shards: int, inputs: int, audio_s: float, rows: int) -> int:
    """Shards of a call that fills every row often enough, where there are enough for many calls.

    Args:
        shards: of the run.
        inputs: what the model is asked about, over all shards.
        audio_s: seconds of their clips; 0 where that is not known.
        rows: that the engine decodes together.
    """
    wanted = math.ceil(_FILLINGS * rows * shards / max(inputs, 1))
    most = _MOST_AUDIO_S * shards / audio_s if audio_s else math.inf
    return max(1, int(min(wanted, most, shards // _FEWEST_CALLS)))


def answer_span(
    prepared: PreparedSpan,
    context: RunContext,
    engine: RunEngine[Tagged],
    verifier: Verifier | None = None,
) -> AnsweredSpan:
    """Shards answered in one call of every kind; arguments as for :func:`answer_rows`."""
    rows = answer_rows(
        _together([shard.rows for shard in prepared.shards]), context, engine, verifier
    )
    sizes = [len(shard.rows.utterances) for shard in prepared.shards]
    return AnsweredSpan(
        prepared.span,
        tuple(
            AnsweredShard(shard.task, part, shard.shard_failure)
            for shard, part in zip(prepared.shards, _parts(rows, sizes), strict=True)
        ),
    )


def verify_span(span: AnsweredSpan, context: RunContext, verifier: Verifier) -> AnsweredSpan:
    """Shards whose beams have a verifier's scores."""
    sizes = [len(shard.rows.prepared.utterances) for shard in span.shards]
    rows = AnsweredRows(
        _together([shard.rows.prepared for shard in span.shards]),
        tuple(answer for shard in span.shards for answer in shard.rows.answers),
    )
    verified = verify_rows(rows, context, verifier)
    return replace(
        span,
        shards=tuple(
            replace(shard, rows=replace(part, timings=(*shard.rows.timings, *part.timings)))
            for shard, part in zip(span.shards, _parts(verified, sizes), strict=True)
        ),
    )


def _together(rows: Sequence[PreparedRows]) -> PreparedRows:
    return PreparedRows(
        tuple(utterance for each in rows for utterance in each.utterances),
        tuple(windows for each in rows for windows in each.windows),
        tuple(seconds for each in rows for seconds in each.heard_s),
    )


def _parts(rows: AnsweredRows, sizes: Sequence[int]) -> Iterator[AnsweredRows]:
    """Rows by shard; what questions took is shared out by their number."""
    prepared = rows.prepared
    ends = list(accumulate(sizes, initial=0))
    for first, end in pairwise(ends):
        part = slice(first, end)
        # Clips that nobody hears any more are gone.
        yield AnsweredRows(
            PreparedRows(prepared.utterances[part], prepared.windows[part], prepared.heard_s[part]),
            rows.answers[part],
            tuple(_share(timing, first, end, ends[-1]) for timing in rows.timings),
        )


def _share(timing: Timing, first: int, end: int, rows: int) -> Timing:
    """A timing's part for some rows; all parts add up to it."""
    if not rows:
        return timing
    asked = timing.asked * end // rows - timing.asked * first // rows
    return replace(timing, asked=asked, seconds=timing.seconds * (end - first) / rows)
