"""``run.json``: what was run, with what, and counts that add up; frozen and versioned."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from raypipe.errors import ShardError
from raypipe.store.location import Location
from raypipe.store.schemas import VERSION
from raypipe.store.sealed_json import opened_json, sealed_json
from raypipe.votes import VotePolicy

RECORD = "run.json"

Status = Literal["running", "stopped", "failed", "finished"]
"""``running`` also where a run was killed; ``stopped`` where the same command continues it."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StrategyCounts(_Part):
    """Rows of one strategy in ``predictions/``.

    Attributes:
        fitted_on: utterances without a row, as the strategy's parameters are fitted to their
            split; None for a strategy that is not fitted to a split.
    """

    valid: int
    invalid: int
    fitted_on: int | None = None


class RunCounts(_Part):
    """What went in and what came out, of one model and prompt or of all together.

    Attributes:
        model: its name in the tables; None for all together.
        prompt: its name in the tables; None for all together.
        input: utterances that were put to it; of all together, once for every model and prompt.
        predicted: those with predictions.
        errors: those without.
        strategies: rows of every strategy.
        utterances: in the run, where there are several models or prompts.
        cells: of each model and prompt, where there are several.
    """

    model: str | None = None
    prompt: str | None = None
    input: int
    predicted: int
    errors: int
    strategies: Mapping[str, StrategyCounts]
    utterances: int | None = None
    cells: tuple[RunCounts, ...] = ()


class QuestionTime(_Part):
    """How long one kind of question took a model, over all attempts and actors.

    Attributes:
        asked: number of inputs that were answered.
        seconds: of the engine, wall time, summed over its actors.
    """

    model: str
    question: str
    asked: int
    seconds: float


class MadeFrom(_Part):
    """The run that a reaggregation read.

    Attributes:
        run: its id.
        location: where it lay.
        fingerprint: of its predictions.
        versions: of what had made it.
    """

    run: str
    location: str
    fingerprint: str
    versions: Mapping[str, str] | None = None


class LabelsUsed(_Part):
    """A label table that a job's predictions were measured against.

    Attributes:
        name: in the tables.
        place: ``instead`` of the corpus's labels or ``beside`` them.
        table: where it lay.
        fingerprint: of its content.
        entries: number of utterances that it names.
        matched: of them, those that are in the job.
    """

    name: str
    place: Literal["beside", "instead"]
    table: str
    fingerprint: str
    entries: int
    matched: int


class RunRecord(_Part):
    """All that ``run.json`` says of a run.

    Attributes:
        version: of the layout of record and tables.
        name: of the run, for people.
        run: id, the beginning of the fingerprint, as it stands in every row.
        status: how far it is.
        reason: why it stopped; None otherwise.
        fingerprint: SHA-256 of everything that can change ``predictions/``.
        generation_fingerprint: SHA-256 of everything that can change ``generations/``.
        input_fingerprint: of the shards.
        identity: digests of what the fingerprints are made of beside the config, by what it is.
        labels: that every distribution is aligned with.
        vote_policy: how the corpus understands its votes; None where its index does not say.
        config: resolved, without secrets, as JSON values.
        chosen: values of the settings that said ``auto``, by their names.
        seed: of the bootstrap.
        versions: of packages that can change a number.
        started: time, ISO 8601 with a zone.
        finished: time; None before that.
        seconds: from start to finish of the last attempt.
        counts: None before the end.
        timings: by model and question.
        api_usage: requests, tokens and costs of endpoints, as JSON values; None without one.
        made_from: the run that was read; None for a run of its own.
        settings: what the strategy names of a reaggregation stand for, by name.
        label_tables: that predictions were measured against; None for the corpus's own labels
            alone.
    """

    version: Literal[1, 2] = 2
    name: str
    run: str
    status: Status
    reason: str | None = None
    fingerprint: str
    generation_fingerprint: str
    input_fingerprint: str | None = None
    identity: Mapping[str, str] = {}
    dataset: str | None = None
    labels: tuple[str, ...]
    vote_policy: VotePolicy | None = None
    config: Mapping[str, Any]
    chosen: Mapping[str, str | int | float] = {}
    seed: int
    versions: Mapping[str, str]
    started: str
    finished: str | None = None
    seconds: float | None = None
    counts: RunCounts | None = None
    timings: tuple[QuestionTime, ...] = ()
    api_usage: Mapping[str, object] | None = None
    made_from: MadeFrom | None = None
    settings: Mapping[str, Mapping[str, object]] | None = None
    label_tables: tuple[LabelsUsed, ...] | None = None

    def as_json(self) -> dict[str, object]:
        """The record as JSON values, without what is not known."""
        return self.model_dump(mode="json", exclude_none=True)

    def changed(self, **values: object) -> RunRecord:
        """The record with other values of some fields, checked anew."""
        return RunRecord.model_validate({**self.model_dump(), **values})

    @property
    def done_counts(self) -> RunCounts:
        """The counts of a finished run.

        Raises:
            ShardError: if it has none.
        """
        if self.counts is None:
            raise ShardError(f"{RECORD} of run {self.run} has no counts: it is {self.status}")
        return self.counts


def write_record(tables: Location, record: RunRecord) -> None:
    """Write the run record beside the tables."""
    tables.write(RECORD, sealed_json(record.as_json()))


def read_record(tables: Location) -> RunRecord:
    """The run record of a finished or unfinished run, of this version or an older one.

    Raises:
        ObjectMissingError: if there is none.
        ShardError: if it is no run record of a version that this raypipe knows, or has changed
            since it was written.
    """
    where = f"{tables.uri}/{RECORD}"
    document = opened_json(tables.read(RECORD), where)
    if not isinstance(document, dict):
        raise ShardError(f"{where} holds {type(document).__name__}, not a run record")
    version = document.setdefault("version", 1)
    if version not in (1, VERSION):
        raise ShardError(f"{where} has version {version!r}; this raypipe reads up to {VERSION}")
    try:
        return RunRecord.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ShardError(f"{where}: {field}: {first['msg']}") from error


def differences(
    record: RunRecord, config: Mapping[str, object], identity: Mapping[str, str]
) -> str:
    """What differs between a recorded run and another one, in words; empty if nothing does.

    Args:
        record: of the run that is there.
        config: of the other, as JSON values.
        identity: digests of the other, see :attr:`RunRecord.identity`.
    """
    words = [
        f"{name} was {json.dumps(before)}, is now {json.dumps(now)}"
        for name, before, now in _differing("", record.config, config)
    ]
    words += [
        f"{name} differs" for name in identity if record.identity.get(name, "") != identity[name]
    ]
    return "; ".join(words)


# What may differ between two attempts of one run.
_FREE = ("name", "output", "storage", "resources", "metrics", "max_error_fraction")
# A list that a record of an older version lacks, or has empty.
_NOTHING: tuple[object, ...] = (None, [], ())


def _differing(prefix: str, before: object, now: object) -> list[tuple[str, object, object]]:
    if before == now or (before in _NOTHING and now in _NOTHING):
        return []
    if not isinstance(before, Mapping) or not isinstance(now, Mapping):
        return [(prefix, before, now)]
    differing: list[tuple[str, object, object]] = []
    for name in {**before, **now}:
        if prefix or name not in _FREE:
            inner = f"{prefix}.{name}" if prefix else name
            differing += _differing(inner, before.get(name), now.get(name))
    return differing
