"""A run whose errors single inputs do not explain ends with the commonest reasons."""

from __future__ import annotations

import pytest

from raypipe.errors import ErrorShareError
from raypipe.records import Failure, Stage, is_refusal
from raypipe.runtime.finish.error_share import check_error_share, errors_by_cell
from raypipe.store.location import Location
from raypipe.store.objects import object_bytes
from raypipe.store.tables import errors_table

CELL = ("m", "p")


def write(place: Location, *kinds: tuple[Stage, str, int]) -> None:
    failures = [
        (row, Failure(f"{kind}-{row}", stage, kind, f"why {kind}"))
        for stage, kind, count in kinds
        for row in range(count)
    ]
    table = errors_table(failures, run="r", shard="s", shard_rows=1, model="m", prompt="p")
    data = object_bytes(table, model="m", prompt="p", fingerprint="f")
    place.write("errors/model=m/prompt=p/shard-000000.parquet", data)


def check(place: Location, limit: float = 0.05) -> None:
    check_error_share(place, errors_by_cell(place, "r", [CELL]), 100, limit)


@pytest.fixture
def place(tmp_path: object) -> Location:
    return Location.parse(str(tmp_path))


@pytest.mark.parametrize(
    ("kinds", "passes"),
    [
        ([], True),
        ([("engine", "timeout", 5)], True),
        ([("engine", "timeout", 6)], False),
        ([("decode", "ValueError", 3), ("aggregate", "KeyError", 3)], False),
        ([("decode", "too_long", 99)], True),
        ([("decode", "too_long", 100)], False),
        ([("decode", "too_long", 95), ("engine", "timeout", 5)], False),
    ],
)
def test_failures_count_and_refusals_only_if_nothing_is_left(
    place: Location, kinds: list[tuple[Stage, str, int]], passes: bool
) -> None:
    write(place, *kinds)
    if passes:
        check(place)
    else:
        with pytest.raises(ErrorShareError):
            check(place)


def test_the_commonest_reasons_are_named(place: Location) -> None:
    write(place, ("engine", "timeout", 9), ("prompt", "ValueError", 30), ("decode", "silent", 50))
    with pytest.raises(ErrorShareError) as caught:
        check(place)
    assert str(caught.value) == (
        "39 of 100 utterances failed (model m, prompt p), more than max_error_fraction 0.05: "
        "30 x prompt, ValueError (such as: why ValueError); "
        "9 x engine, timeout (such as: why timeout)"
        f"; tables are in {place.uri}"
    )
    check(place, 0.39)


@pytest.mark.parametrize(
    ("stage", "error_type", "refusal"),
    [
        ("read", "ShardError", True),
        ("read", "duplicate_id", True),
        ("decode", "truncated", True),
        ("decode", "MemoryError", False),
        ("prompt", "too_long", True),
        ("prompt", "not_processed", False),
        ("engine", "bad_reply", False),
        ("aggregate", "KeyError", False),
    ],
)
def test_what_is_a_refusal(stage: str, error_type: str, refusal: bool) -> None:
    assert is_refusal(stage, error_type) is refusal
