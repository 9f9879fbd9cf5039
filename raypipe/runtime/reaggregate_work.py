"""What happens to one shard of a reaggregation, as a plain function that knows nothing of Ray."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from raypipe.errors import ObjectMissingError, ShardError
from raypipe.labels import LabelSet
from raypipe.runtime.aggregation import Reading, read_answers
from raypipe.store.location import FINGERPRINT_KEY, Location
from raypipe.store.parquet import from_parquet_bytes, to_parquet_bytes
from raypipe.store.schemas import ERRORS, emotion_tokens_of, labels_of
from raypipe.strategies import Variant
from raypipe.votes import VotePolicy

_HYPOTHESES = "hypotheses.list.element"
# What no strategy looks at; most of the table's bytes are logits, which only some do.
_UNREAD = (f"{_HYPOTHESES}.token_logprobs", f"{_HYPOTHESES}.verifier_text")
_LOGITS = f"{_HYPOTHESES}.emotion_logits"
_READ_LOGITS = {"token", "token_softmax"}


@dataclass(frozen=True, slots=True)
class Work:
    """What every task needs to know; small, picklable, free of secrets.

    Attributes:
        source: the run that is read.
        output: where the tables go.
        partition: the Hive partition path of the run's model and prompt, the same in both.
        run: short id of the new run directory.
        policy: how the corpus understands the words of its votes; None where it does not say.
        generation_fingerprint: that the run's ``generations/`` must have.
        fingerprint: of what is written.
    """

    source: Location
    output: Location
    partition: str
    run: str
    model: str
    prompt: str
    labels: LabelSet
    policy: VotePolicy | None
    variants: tuple[Variant, ...]
    generation_fingerprint: str
    fingerprint: str

    @property
    def unread(self) -> tuple[str, ...]:
        """Columns of ``generations/`` that none of the variants needs."""
        needed = any(variant.strategy in _READ_LOGITS for variant in self.variants)
        return _UNREAD if needed else (*_UNREAD, _LOGITS)


def reaggregate_shard(shard: str, work: Work) -> str | None:
    """Write a shard's ``errors/`` and ``predictions/``, in this order, from what the run holds.

    Args:
        shard: its name inside the partition.
        work: what is done to it.

    Returns:
        Why the run's own objects of this shard cannot be used, with their place; None if it is
        done.

    Raises:
        StoreError: if the storage refuses.
    """
    name = f"{work.partition}/{shard}"
    try:
        generations = _read(work, f"generations/{name}", work.unread)
        errors = _read(work, f"errors/{name}")
        reading = _reading(work, generations, f"generations/{name}")
    except (ShardError, ObjectMissingError) as error:
        return str(error)
    predictions, _ = read_answers(generations, reading)  # failures stand in errors/ already
    _write(work, f"errors/{name}", _carried_over(errors, work.run))
    _write(work, f"predictions/{name}", predictions)
    return None


def _read(work: Work, name: str, unread: tuple[str, ...] = ()) -> pa.Table:
    try:
        return from_parquet_bytes(work.source.read(name), without=unread)
    except ShardError as error:
        raise ShardError(f"{work.source.uri}/{name}: {error}") from error


def _reading(work: Work, generations: pa.Table, name: str) -> Reading:
    metadata = generations.schema.metadata or {}
    found = metadata.get(FINGERPRINT_KEY.encode(), b"").decode()
    if found != work.generation_fingerprint:
        raise ShardError(
            f"{work.source.uri}/{name} is of another run (fingerprint {found[:12] or 'none'}, "
            f"run.json says {work.generation_fingerprint[:12]})"
        )
    tokens, labels = emotion_tokens_of(generations.schema), labels_of(generations.schema)
    if tokens is None or labels != work.labels:
        raise ShardError(
            f"{work.source.uri}/{name}: its metadata do not name the emotion tokens, or not the "
            f"labels {', '.join(work.labels.names)}"
        )
    return Reading(
        run=work.run,
        model=work.model,
        prompt=work.prompt,
        labels=work.labels,
        policy=work.policy,
        emotion_tokens=tokens,
        variants=work.variants,
    )


def _carried_over(errors: pa.Table, run: str) -> pa.Table:
    """What failed in the run failed before any hypothesis was read: it stays as it is."""
    place = ERRORS.get_field_index("run")
    return errors.set_column(place, ERRORS.field(place), pa.array([run] * len(errors), pa.string()))


def _write(work: Work, name: str, rows: pa.Table) -> None:
    data = to_parquet_bytes(rows, {FINGERPRINT_KEY: work.fingerprint})
    work.output.write_new(name, data, work.fingerprint)
