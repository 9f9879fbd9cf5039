"""Another run's predictions of the clips that heads are tested on, in the same tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc

from raypipe.errors import ConfigError, ObjectMissingError
from raypipe.runtime.finish.partition import ModelPrompt
from raypipe.store.location import Location
from raypipe.store.objects import object_bytes, read_object
from raypipe.store.run_record import RunRecord, read_record


@dataclass(frozen=True, slots=True)
class OtherRun:
    """A finished run over the shards that the features were made of."""

    location: Location
    record: RunRecord


@dataclass(frozen=True, slots=True)
class CopiedCell:
    """Predictions of one model and prompt, of the tested clips alone.

    Attributes:
        objects: names of its ``predictions/`` objects.
        strategies: that every predicted clip has.
    """

    objects: tuple[str, ...]
    strategies: tuple[str, ...]


def other_run(place: Location, features: RunRecord, truth: str = "") -> OtherRun:
    """A run whose predictions may stand beside those of heads.

    Args:
        place: of the run.
        features: record of the features that heads learn from.
        truth: fingerprint of the label table in the place of the corpus's labels; empty without.

    Raises:
        ConfigError: if there is no finished run, or it is over other shards or labels, or measured
            against others.
    """
    try:
        record = read_record(place)
    except ObjectMissingError as error:
        raise ConfigError(f"beside: {place.uri} is not a run") from error
    if record.status != "finished":
        raise ConfigError(f"beside: {place.uri} is not finished")
    if record.input_fingerprint != features.input_fingerprint or record.labels != features.labels:
        raise ConfigError(f"beside: {place.uri} is over other shards than the features")
    instead = [table for table in record.label_tables or () if table.place == "instead"]
    if "".join(table.fingerprint for table in instead) != truth:
        raise ConfigError(
            f"beside: {place.uri} is measured against other labels; raypipe reaggregate --labels "
            "measures it against these"
        )
    return OtherRun(place, record)


def copy_predictions(
    other: OtherRun,
    tables: Location,
    tested: Mapping[str, frozenset[str]],
    *,
    run: str,
    fingerprint: str,
) -> Mapping[ModelPrompt, CopiedCell]:
    """Write what a run says of tested clips, its errors first.

    A clip of a shard that the run could not read is an error of that shard.

    Args:
        other: that is read.
        tables: where the copies go.
        tested: ids of tested clips by shard.
        run: short id of the heads job, which the copies carry.
        fingerprint: of the heads job.
    """
    place = other.location.child("predictions")
    objects: dict[ModelPrompt, list[str]] = {}
    strategies: dict[ModelPrompt, set[str]] = {}
    for name in place.list():
        folder, _, shard = name.rpartition("/")
        model, prompt = (unquote(part.partition("=")[2]) for part in folder.split("/"))
        ids = tested.get(shard, frozenset())
        predictions = _of(read_object(place, name), ids, run)
        left = ids - set(predictions.column("utterance_id").to_pylist())
        copies = {"predictions": predictions}
        if left:
            errors = read_object(other.location, f"errors/{name}")
            copies = {"errors": _failed(errors, left, run), **copies}
        for table, rows in copies.items():
            data = object_bytes(rows, model=model, prompt=prompt, fingerprint=fingerprint)
            tables.write_new(f"{table}/{name}", data, fingerprint)
        objects.setdefault((model, prompt), []).append(f"predictions/{name}")
        strategies.setdefault((model, prompt), set()).update(
            predictions.column("strategy").to_pylist()
        )
    return {
        cell: CopiedCell(tuple(names), tuple(sorted(strategies[cell])))
        for cell, names in objects.items()
    }


def _of(rows: pa.Table, ids: frozenset[str], run: str) -> pa.Table:
    wanted = pa.array(sorted(ids), pa.string())
    return _renamed(rows.filter(pc.is_in(rows.column("utterance_id"), value_set=wanted)), run)


def _failed(errors: pa.Table, left: Sequence[str] | frozenset[str], run: str) -> pa.Table:
    """Errors of the clips that are left; one of a whole shard stands for those it still has."""
    whole = errors.filter(errors.column("row").is_null())
    if len(whole):
        at = whole.schema.get_field_index("utterances")
        column = pa.array([len(left)], pa.int64())
        return _renamed(whole.slice(0, 1).set_column(at, whole.schema.field(at), column), run)
    return _of(errors, frozenset(left), run)


def _renamed(rows: pa.Table, run: str) -> pa.Table:
    at = rows.schema.get_field_index("run")
    return rows.set_column(at, rows.schema.field(at), pa.array([run] * len(rows), pa.string()))
