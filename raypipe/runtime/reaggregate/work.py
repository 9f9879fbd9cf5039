"""The work on one shard of a reaggregation, as a plain function without Ray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from raypipe.errors import ObjectMissingError, ShardError
from raypipe.labels import LabelSet
from raypipe.records import AttributeScales, Stage
from raypipe.runtime.finish.aggregation import (
    Ensemble,
    Failed,
    Fits,
    PredictionSettings,
    read_answers,
)
from raypipe.runtime.finish.labels import PlacedTable, table_instead
from raypipe.runtime.finish.partition import partition
from raypipe.store.generations import shard_failure
from raypipe.store.location import FINGERPRINT_KEY, Location
from raypipe.store.objects import object_bytes, read_object
from raypipe.store.schemas import ERRORS, emotion_tokens_of, labels_of
from raypipe.store.tables import errors_table
from raypipe.strategies import Strategy, Variant, strategy_named
from raypipe.votes import VotePolicy

_OWN_STAGE: Stage = "aggregate"
_SHOWN = 5
_HYPOTHESES = "hypotheses.list.element"
# What no strategy looks at; most of the table's bytes are logits, which only some do.
_UNREAD = (f"{_HYPOTHESES}.token_logprobs", f"{_HYPOTHESES}.verifier_text")
_LOGITS = ("emotion_logits", f"{_HYPOTHESES}.emotion_logits")  # of version 2, and of 1


@dataclass(frozen=True, slots=True)
class ReaggregationWork:
    """What every task needs to know; small, picklable, free of secrets.

    Attributes:
        source: the run that is read.
        output: where the tables go.
        run: short id of the new run directory.
        prompts: that every model was asked.
        ensembles: means over prompts.
        policy: how the corpus understands the words of its votes; None where it does not say.
        generation_fingerprint: that the run's ``generations/`` must have.
        fingerprint: of what is written.
        truth: label table in the place of the run's labels; None for those.
        fits: of the fitted strategies among ``variants``, by model and prompt.
        attribute_scales: of the answers about attributes; None where they were not asked for.
    """

    source: Location
    output: Location
    run: str
    prompts: tuple[str, ...]
    ensembles: tuple[Ensemble, ...]
    labels: LabelSet
    policy: VotePolicy | None
    variants: tuple[Variant, ...]
    generation_fingerprint: str
    fingerprint: str
    truth: PlacedTable | None = None
    fits: Mapping[tuple[str, str], Fits] = field(default_factory=dict)
    attribute_scales: AttributeScales | None = None

    @property
    def all_prompts(self) -> tuple[str, ...]:
        """Names of all prompts in the tables, ensembles included."""
        return (*self.prompts, *(ensemble.name for ensemble in self.ensembles))

    @property
    def unread(self) -> tuple[str, ...]:
        """Columns of ``generations/`` that none of the variants needs."""
        parts = [strategy_named(part) for variant in self.variants for part in variant.parts]
        needed = any(isinstance(part, Strategy) and part.reads_logits for part in parts)
        return _UNREAD if needed else (*_UNREAD, *_LOGITS)


@dataclass(frozen=True, slots=True)
class ShardOfModel:
    """One shard as one model answered it.

    Attributes:
        shard: name of its objects.
    """

    model: str
    shard: str

    def object_name(self, table: str, prompt: str) -> str:
        """Name of its object in a table."""
        return f"{table}/{partition(self.model, prompt)}/{self.shard}"


def reaggregate_part(part: ShardOfModel, work: ReaggregationWork) -> str | None:
    """Write a shard's ``errors/``, if any, and ``predictions/``, in this order, from a run's own.

    Args:
        part: which.
        work: what is done to it.

    Returns:
        Why the run's own objects of this shard cannot be used, with their place; None if it is
        done.

    Raises:
        StoreError: if the storage refuses.
    """
    read = read_shard(part, work)
    if isinstance(read, str):
        return read
    generations, settings = read
    fits = {prompt: work.fits.get((part.model, prompt), {}) for prompt in work.all_prompts}
    answers = read_answers(generations, replace(settings, fits=fits))
    unread = any(shard_failure(table) is not None for table in generations.values())
    try:
        errors = {
            prompt: _errors(part, prompt, work, unread or _fails_earlier(failed))
            for prompt, (_, failed) in answers.items()
        }
    except (ShardError, ObjectMissingError) as error:
        return str(error)
    for prompt, table in errors.items():
        _, failed = answers[prompt]
        rows = _with_own_failures(_carried_over(table, work.run), failed, part, prompt, work)
        if rows.num_rows:
            _write(work, part, "errors", prompt, rows)
    for prompt, (made, _) in answers.items():
        _write(work, part, "predictions", prompt, made)
    return None


def read_shard(
    part: ShardOfModel, work: ReaggregationWork
) -> tuple[Mapping[str, pa.Table], PredictionSettings] | str:
    """A shard's ``generations/`` by prompt and how they are read; why they cannot be used."""
    try:
        generations = {
            prompt: _read(work, part.object_name("generations", prompt), work.unread)
            for prompt in work.prompts
        }
        return generations, _settings(work, part, generations)
    except (ShardError, ObjectMissingError) as error:
        return str(error)


def broken_shards(reasons: Sequence[str]) -> str:
    """Why shards cannot be read, the first of them, as one message."""
    more = f"\nand {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
    return "\n".join(reasons[:_SHOWN]) + more


def _read(work: ReaggregationWork, name: str, unread: tuple[str, ...] = ()) -> pa.Table:
    return read_object(work.source, name, without=unread)


def _settings(
    work: ReaggregationWork, part: ShardOfModel, generations: Mapping[str, pa.Table]
) -> PredictionSettings:
    tokens = None
    for prompt, table in generations.items():
        name = f"{work.source.uri}/{part.object_name('generations', prompt)}"
        fingerprint = (table.schema.metadata or {}).get(FINGERPRINT_KEY.encode(), b"").decode()
        if fingerprint != work.generation_fingerprint:
            raise ShardError(
                f"{name} is of another run (fingerprint {fingerprint[:12] or 'none'}, "
                f"run.json says {work.generation_fingerprint[:12]})"
            )
        tokens, labels = emotion_tokens_of(table.schema), labels_of(table.schema)
        if tokens is None or labels != work.labels:
            raise ShardError(
                f"{name}: its metadata do not name the emotion tokens, or not the "
                f"labels {', '.join(work.labels.names)}"
            )
    assert tokens is not None  # every model has a prompt
    return PredictionSettings(
        run=work.run,
        model=part.model,
        labels=work.labels,
        policy=work.policy,
        emotion_tokens=tokens,  # of one model, the same under every prompt
        variants=work.variants,
        ensembles=work.ensembles,
        truth=table_instead(work.truth),
        attribute_scales=work.attribute_scales,
    )


def _fails_earlier(failed: Sequence[Failed]) -> bool:
    """Whether rows failed before their hypotheses were read."""
    return any(failure.stage != _OWN_STAGE for _, failure in failed)


def _errors(part: ShardOfModel, prompt: str, work: ReaggregationWork, are_there: bool) -> pa.Table:
    """The run's own errors; a shard without any has no object, unless an early version wrote it.

    Args:
        part: the shard.
        prompt: that failed.
        work: the reaggregation.
        are_there: whether the answers tell of some, so that an object that is missing is lost.
    """
    try:
        return _read(work, part.object_name("errors", prompt))
    except ObjectMissingError:
        if are_there:
            raise
        return errors_table([], run=work.run, shard=part.shard, shard_rows=0)


def _carried_over(errors: pa.Table, run: str) -> pa.Table:
    """What failed in the run failed before any hypothesis was read: it stays as it is."""
    place = errors.schema.get_field_index("run")
    return errors.set_column(place, ERRORS.field("run"), pa.array([run] * len(errors), pa.string()))


def _with_own_failures(
    errors: pa.Table,
    failed: Sequence[Failed],
    part: ShardOfModel,
    prompt: str,
    work: ReaggregationWork,
) -> pa.Table:
    """Errors in which those of reading the hypotheses are of this time, not of the run's own."""
    own = {row: failure for row, failure in failed if failure.stage == _OWN_STAGE}
    there = [
        row if stage == _OWN_STAGE else None
        for row, stage in zip(
            errors.column("row").to_pylist(), errors.column("stage").to_pylist(), strict=True
        )
    ]
    new = [(row, failure) for row, failure in own.items() if row not in there]
    stays = [row is None or row in own for row in there]
    if all(stays) and not new:
        return errors
    kept = errors.filter(pa.array(stays, pa.bool_()))
    made = errors_table(
        new, run=work.run, shard=part.shard, shard_rows=1, model=part.model, prompt=prompt
    )
    return pa.concat_tables([kept, made.select(kept.column_names).cast(kept.schema)])


def _write(
    work: ReaggregationWork, part: ShardOfModel, table: str, prompt: str, rows: pa.Table
) -> None:
    data = object_bytes(rows, model=part.model, prompt=prompt, fingerprint=work.fingerprint)
    work.output.write_new(part.object_name(table, prompt), data, work.fingerprint)
