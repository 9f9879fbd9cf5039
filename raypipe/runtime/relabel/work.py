"""What happens to one part of a relabel job, as plain functions that know nothing of Ray."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

import pyarrow as pa

from raypipe.relabel.item import Described
from raypipe.relabel.rounds import Outcome, ask_about
from raypipe.relabel.table import labels_table
from raypipe.runtime.infer.asking import Model, ask_texts
from raypipe.runtime.relabel.plan import RelabelContext
from raypipe.runtime.relabel.reading import FailedInput, Part
from raypipe.store.objects import object_bytes
from raypipe.store.tables import errors_table

_FEWEST_ITEMS = 10
_BROKEN_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class PartSummary:
    """What the driver hears about a part.

    Attributes:
        utterances: inputs that it stands for.
        errors: of them, those without a reference.
        asked: items with descriptions.
        left: of them, those without a usable answer.
        failed: of them, those whose last request failed as a whole.
        stopped: why the part was not written; None if it was.
        resumable: whether the same command continues after it, as it does at the end of a budget.
    """

    name: str
    utterances: int
    errors: int = 0
    asked: int = 0
    left: int = 0
    failed: int = 0
    stopped: str | None = None
    resumable: bool = False


def relabel_part(part: Part, context: RelabelContext, model: Model) -> PartSummary:
    """A part's descriptions put to a model, and what came of them written.

    A part of which most items failed with their requests is not written: the model is broken, not
    its answers.

    Raises:
        StoppedError: if the engine stops, say at the end of its budget.
        StoreError: if the storage refuses.
    """
    items = [row for row in part.rows if isinstance(row, Described)]
    longest = context.run_config.decoding.max_new_tokens
    outcomes = ask_about(
        items,
        lambda prompts: ask_texts(prompts, model, longest),
        context.source,
        context.labels,
        context.settings,
    )
    asked = [outcome for outcome in outcomes if outcome.item.words]
    failed = [outcome for outcome in asked if outcome.answer is None and outcome.failed]
    if len(asked) >= _FEWEST_ITEMS and len(failed) > _BROKEN_SHARE * len(asked):
        reason = f"{len(failed)} of {len(asked)} items: {failed[0].faults[-1]}"
        return PartSummary(part.name, part.utterances, stopped=reason)
    errors = _commit(part, outcomes, context)
    return PartSummary(
        part.name,
        part.utterances,
        errors=errors,
        asked=len(asked),
        left=sum(outcome.answer is None for outcome in asked),
        failed=len(failed),
    )


def _commit(part: Part, outcomes: Sequence[Outcome], context: RelabelContext) -> int:
    """Write a part's errors, then its labels: where these exist, the part is done."""
    table = labels_table(
        outcomes,
        run=context.run,
        model=context.model,
        prompt=context.prompt,
        prompt_hash=context.prompt_hash,
        labels=context.labels,
        flag_shift=context.settings.flag_shift,
        smoothing=context.smoothing,
        smoothing_form=context.smoothing_form,
    )
    failed = [row for row in part.rows if isinstance(row, FailedInput)]
    by_shard = {shard: list(rows) for shard, rows in groupby(failed, key=attrgetter("shard"))}
    errors = pa.concat_tables(
        errors_table(
            [(row.row, row.failure) for row in rows],
            run=context.run,
            shard=shard,
            shard_rows=sum(row.utterances for row in rows if row.row is None),
            model=context.model,
            prompt=context.prompt,
        )
        for shard, rows in (by_shard or {None: []}).items()
    )
    for name, rows in (("errors", errors), ("labels", table)):
        data = object_bytes(
            rows, model=context.model, prompt=context.prompt, fingerprint=context.fingerprint
        )
        place = context.object_name(name, part.name)
        if part.again:
            context.tables.write(place, data)
        else:
            context.tables.write_new(place, data, context.fingerprint)
    return sum(row.utterances for row in failed)
