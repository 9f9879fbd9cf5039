"""Whose tables a place holds: this run's, another one's, or none."""

from __future__ import annotations

from raypipe.errors import FingerprintError
from raypipe.runtime.finish.record import RECORD, read_record
from raypipe.store.location import Location


def refuse_another_run(tables: Location, fingerprint: str) -> None:
    """One output holds one run: its record, report and counts speak of all its tables.

    Raises:
        FingerprintError: if the output holds the tables of a different run.
    """
    if not tables.exists(RECORD):
        return
    found = read_record(tables)["fingerprint"]
    if found != fingerprint:
        raise FingerprintError(
            f"{tables.uri} holds another run (fingerprint {found[:12]}, this run's is "
            f"{fingerprint[:12]}): the shards, the model, the prompt or a "
            "setting differs. Choose another output."
        )


def existing(tables: Location, table: str, partition: str, fingerprint: str) -> set[str]:
    """Names of a table's finished objects; the first one's fingerprint speaks for all.

    Raises:
        FingerprintError: if it is not ``fingerprint``.
    """
    place = tables.child(table, *partition.split("/"))
    names = place.list(".parquet")
    if names:
        found = place.fingerprint_of(names[0])
        if found != fingerprint:
            raise FingerprintError(
                f"{place.uri} holds {table} of another run (fingerprint {str(found)[:12]}, this "
                f"run's is {fingerprint[:12]}): the shards, the model, the prompt or a setting "
                "differs. Choose another output."
            )
    return set(names)
