"""Whose tables a place holds: this run's, another one's, or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from raypipe.config import MetricsConfig
from raypipe.errors import FingerprintError
from raypipe.runtime.ray.uploaded import refuse_uploaded_folder
from raypipe.store.location import Location
from raypipe.store.run_record import (
    RECORD,
    LabelsUsed,
    RunRecord,
    differences,
    read_record,
)
from raypipe.store.schemas import VERSION


def output_place(uri: str, endpoint: str | None) -> Location:
    """The place that a job's results go to.

    Args:
        uri: as the user wrote it.
        endpoint: of the storage; None for the environment's.

    Raises:
        ConfigError: if it is no location, or one whose contents would not last.
    """
    refuse_uploaded_folder(uri)
    return Location.parse(uri, endpoint)


def finished_record(
    tables: Location, metrics: MetricsConfig, labels: Sequence[LabelsUsed] | None = None
) -> RunRecord | None:
    """The record of a run with all its shards, if nothing of the reduce is left to do.

    Args:
        tables: the output.
        metrics: the intervals that are wanted.
        labels: the label tables that it is to be measured against; None for the corpus's own.
    """
    if not tables.exists(RECORD):
        return None
    record = read_record(tables)
    same = MetricsConfig.model_validate(record.config["metrics"]) == metrics
    same = same and (record.label_tables or ()) == tuple(labels or ())
    return record if same and record.status == "finished" else None


def refuse_another_run(
    tables: Location,
    fingerprint: str,
    config: Mapping[str, object],
    identity: Mapping[str, str],
) -> None:
    """One output holds one run: its record, report and counts speak of all its tables.

    Args:
        tables: the output.
        fingerprint: of the predictions of the run that wants to write there.
        config: of that run, as JSON values.
        identity: digests of what its fingerprints are made of beside the config.

    Raises:
        FingerprintError: if the output holds the tables of a different run, naming what differs,
            or an unfinished run of an older version.
    """
    if not tables.exists(RECORD):
        return
    record = read_record(tables)
    if record.version < VERSION:
        raise FingerprintError(
            f"{tables.uri} holds {'a' if record.status == 'finished' else 'an unfinished'} run of "
            f"raypipe {record.versions.get('raypipe', '0.1')}, whose tables this version reads "
            "but does not continue. Choose another output."
        )
    if record.fingerprint != fingerprint:
        settings = (
            differences(record, config, identity) or "the shards, the model or a prompt differs"
        )
        raise FingerprintError(
            f"{tables.uri} holds another run (fingerprint {record.fingerprint[:12]}, this run's is "
            f"{fingerprint[:12]}): {settings}. Choose another output."
        )


def existing(tables: Location, table: str, partition: str, fingerprint: str) -> set[str]:
    """Names of a table's finished objects; the first one's fingerprint speaks for all.

    Raises:
        FingerprintError: if it is not ``fingerprint``.
    """
    place = tables.child(table, *partition.split("/"))
    names = place.list(".parquet")
    if names:
        held = place.fingerprint_of(names[0])
        if held != fingerprint:
            raise FingerprintError(
                f"{place.uri} holds {table} of another run (fingerprint {str(held)[:12]}, this "
                f"run's is {fingerprint[:12]}): the shards, the model, the prompt or a setting "
                "differs. Choose another output."
            )
    return set(names)
