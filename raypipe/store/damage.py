"""Objects that are not what was written: found and named.

What reads a column notices a page that has changed, but not in whose file. So a failure to read is
looked into, and only then every object is read whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import duckdb
import pyarrow as pa

from raypipe.errors import RaypipeError, ShardError, StoreError
from raypipe.store.location import Location
from raypipe.store.parquet import from_parquet_bytes

# What is wrong with the SQL is found before anything is read.
_OF_THE_SQL: Final = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException)


def damaged(place: Location, name: str, reason: Exception) -> StoreError:
    """The error that names a damaged object, and says what helps."""
    told = str(reason).splitlines()[0][:200] if str(reason) else type(reason).__name__
    return StoreError(
        f"{place.uri}/{name} is damaged: {told}. `raypipe verify` lists all that are; what is "
        "removed, the command that wrote it writes again"
    )


def damage(place: Location) -> StoreError | None:
    """The error that names the first damaged Parquet object below a place; None without one."""
    for name in place.list():
        try:
            from_parquet_bytes(place.read(name))
        except (ShardError, StoreError) as error:
            return damaged(place, name, error)
    return None


@contextmanager
def damage_named(*places: Location) -> Iterator[None]:
    """Names the damaged object below one of the places, if reading tables fails for such a one.

    Raises:
        StoreError: naming the object; any other error is passed on as it is.
    """
    try:
        yield
    except _OF_THE_SQL:
        raise
    except RaypipeError:
        raise
    except (pa.ArrowException, OSError, duckdb.Error) as error:
        for place in places:
            found = damage(place)
            if found is not None:
                raise found from error
        raise
