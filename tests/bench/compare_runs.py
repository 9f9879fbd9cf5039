"""Whether two runs hold the same: python tests/bench/compare_runs.py RUN OTHER [RUN OTHER ...].

Of every table: the same objects, and in every column that both have the same rows, in the same
order, with the same values to the last bit. The id of the run and its fingerprint may differ, and
so may what one of them does not have: columns, tables, and metrics that one version does not know.
The runs may have been written by two versions of raypipe.

It prints a line per table and exits with 1 if anything differs.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

TABLES = ("generations", "predictions", "errors", "metrics", "settings")
DIFFERS_ALWAYS = {"run"}
LOGITS = "emotion_logits"
ANOTHER_PROCESSOR = 1e-14
"""How far numbers of another processor may be apart, whose exponentials end in another bit."""


def rows_of(path: Path) -> pa.Table:
    """An object's own columns, without what a reader makes of its path."""
    return pq.ParquetFile(path).read()


def columns(table: pa.Table) -> dict[str, pa.Array]:
    """Every leaf of every column by its path, hypotheses and their logits in one layout."""
    named: dict[str, pa.Array] = {}
    for name in table.column_names:
        column = table.column(name)
        array = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
        if name == LOGITS:
            array = array.flatten()
            named[f"hypotheses.{LOGITS}"] = array
        else:
            named |= dict(leaves(name, array))
    return named


def leaves(path: str, array: pa.Array) -> Iterator[tuple[str, pa.Array]]:
    kind = array.type
    if pa.types.is_struct(kind):
        yield f"{path}.is_valid", array.is_valid()
        for field in kind:
            yield from leaves(f"{path}.{field.name}", array.field(field.name))
    elif pa.types.is_list(kind) and not path.endswith(LOGITS):
        yield f"{path}.count", pc.list_value_length(array)
        yield from leaves(path, array.flatten())
    else:
        yield path, array


def same(left: pa.Array, right: pa.Array, within: float = 0.0) -> bool:
    """Equal values, NaN and nulls in the same places included.

    Args:
        left: a column.
        right: the other one's.
        within: how far apart finite numbers may be, for files of another processor, whose
            exponentials and sums may end in another bit.
    """
    if left.type != right.type:
        right = right.cast(left.type)
    if len(left) != len(right):
        return False
    return all(
        repr(one) == repr(other)
        or (
            isinstance(one, float)
            and isinstance(other, float)
            and math.isfinite(one)
            and abs(one - other) <= within
        )
        for one, other in zip(left.to_pylist(), right.to_pylist(), strict=True)
    )


def known_metrics(table: pa.Table, other: pa.Table) -> pa.Table:
    """The rows of metrics, and of strategies and references, that the other version knows, too."""
    for column in ("metric", "strategy"):
        table = table.filter(pc.is_in(table[column], value_set=other[column].unique()))
    return table


def compare_objects(
    left: Path, right: Path, table: str, within: float = 0.0
) -> tuple[list[str], int, int]:
    """What differs, the number of rows and the number of columns that both have; see `same`."""
    first, second = rows_of(left), rows_of(right)
    if table == "metrics":
        first, second = known_metrics(first, second), known_metrics(second, first)
    if len(first) != len(second):
        return [f"{left.name}: {len(first)} and {len(second)} rows"], len(first), 0
    own, other = columns(first), columns(second)
    shared = [name for name in own if name in other and name not in DIFFERS_ALWAYS]
    wrong = [f"{left.name}: {name}" for name in shared if not same(own[name], other[name], within)]
    return wrong, len(first), len(shared)


def objects(run: Path, table: str) -> list[Path]:
    """A table's objects; versions before wrote errors without rows, too."""
    paths = (run / table).rglob("*.parquet")
    return [path for path in paths if table != "errors" or pq.read_metadata(path).num_rows]


def compare(left: Path, right: Path) -> bool:
    """Print what two runs have in common and where they differ; whether they are the same."""
    for run in (left, right):
        if not (run / "run.json").is_file():
            raise SystemExit(f"{run} is no run: it holds no run.json")
    everything_same = True
    for table in TABLES:
        names = [
            sorted(str(path.relative_to(run)) for path in objects(run, table))
            for run in (left, right)
        ]
        if not all(names):
            print(f"{table:<12} only in one of them" if any(names) else f"{table:<12} in neither")
            everything_same &= not any(names)
            continue
        wrong = [f"object {name}" for name in sorted(set(names[0]) ^ set(names[1]))]
        rows, shared = 0, 0
        for name in sorted(set(names[0]) & set(names[1])):
            differing, count, columns_shared = compare_objects(left / name, right / name, table)
            wrong, rows, shared = wrong + differing, rows + count, max(shared, columns_shared)
        verdict = "same" if not wrong else f"DIFFERENT: {'; '.join(wrong[:5])}"
        print(f"{table:<12} {len(names[0])} objects, {rows} rows, {shared} columns: {verdict}")
        everything_same &= not wrong
    return everything_same


def main() -> int:
    runs = [Path(argument) for argument in sys.argv[1:]]
    if not runs or len(runs) % 2:
        print(__doc__)
        return 2
    results = []
    for left, right in zip(runs[::2], runs[1::2], strict=True):
        print(f"{left} and {right}")
        results.append(compare(left, right))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
