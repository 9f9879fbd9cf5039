"""Filters as SQL: names from the schema, values as parameters."""

import duckdb
import pyarrow as pa
import pytest

from raypipe.errors import ConfigError
from raypipe.reporting.view.columns import ViewColumn, condition, known_column, view_columns
from raypipe.reporting.view.selection import ColumnFilter, Operator
from raypipe.store.schemas import GENERATIONS, PREDICTIONS

COLUMNS = view_columns({"predictions": PREDICTIONS, "generations": GENERATIONS}, ["age", "it's"])
TABLE = pa.table(
    {
        "js": [0.1, None, 0.3],
        "plurality": ["anger", "Fear", None],
        "valid": [True, False, None],
        "votes_union": [["anger"], ["fear", "anger"], None],
        "facts": pa.array(
            [[("age", "9")], [("age", "10"), ("it's", "x")], None],
            pa.map_(pa.string(), pa.string()),
        ),
        "audio_marks": [{"peak": 0.5}, {"peak": None}, None],
    }
)


def passing(column: str, operator: Operator, value: str = "") -> list[int]:
    """Numbers of the rows that pass a filter."""
    built = condition(known_column(COLUMNS, column), ColumnFilter(column, operator, value))
    assert built.sql.count("?") == len(built.parameters), "values are bound"
    with duckdb.connect() as connection:
        connection.register("t", TABLE)
        rows = connection.execute(
            f"SELECT n FROM (SELECT *, row_number() OVER () - 1 AS n FROM t) WHERE {built.sql}",
            built.parameters,
        ).fetchall()
    return sorted(number for (number,) in rows)


@pytest.mark.parametrize(
    ("column", "operator", "value", "rows"),
    [
        ("js", "above", "0.15", [2]),
        ("js", "at_most", "0.1", [0]),
        ("js", "is_not", "0.1", [1, 2]),
        ("js", "missing", "", [1]),
        ("js", "present", "", [0, 2]),
        ("plurality", "is", "anger", [0]),
        ("plurality", "is_not", "anger", [1, 2]),
        ("plurality", "contains", "FE", [1]),
        ("valid", "is", "no", [1]),
        ("votes_union", "contains", "anger", [0, 1]),
        ("votes_union", "is_not", "fear", [0, 2]),
        ("facts.age", "above", "9", [1]),  # as numbers: as texts "10" comes before "9"
        ("facts.age", "is", "9", [0]),
        ("facts.it's", "is", "x", [1]),
        ("audio_marks.peak", "below", "0.7", [0]),
    ],
)
def test_rows_pass_as_people_mean_it(
    column: str, operator: Operator, value: str, rows: list[int]
) -> None:
    assert passing(column, operator, value) == rows


@pytest.mark.parametrize("value", ["' OR 1=1 --", "anger'; DROP TABLE t; --", '"', "?", "\\"])
def test_a_value_is_never_sql(value: str) -> None:
    assert passing("plurality", "is", value) == []
    assert passing("plurality", "contains", value) == []
    assert passing("votes_union", "contains", value) == []


@pytest.mark.parametrize(
    "name", ["nothing", "js OR 1=1", '"js"', "facts.", "facts", "probs", "votes"]
)
def test_a_name_that_is_no_column_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="there is no column"):
        known_column(COLUMNS, name)


def test_a_mistyped_column_is_guessed() -> None:
    with pytest.raises(ConfigError, match="did you mean 'plurality'"):
        known_column(COLUMNS, "pluralty")


@pytest.mark.parametrize(
    ("column", "operator", "value", "reason"),
    [
        ("js", "contains", "1", "does not go with"),
        ("js", "above", "much", "holds numbers"),
        ("js", "is", "nan", "holds numbers"),
        ("valid", "is", "perhaps", "true or false"),
        ("valid", "above", "1", "does not go with"),
        ("votes_union", "below", "1", "does not go with"),
    ],
)
def test_what_does_not_go_together_is_refused(
    column: str, operator: Operator, value: str, reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        condition(known_column(COLUMNS, column), ColumnFilter(column, operator, value))


def test_a_column_in_two_tables_is_that_of_the_first() -> None:
    assert COLUMNS["plurality"].table == "predictions"
    assert COLUMNS["transcript"] == ViewColumn("transcript", "generations", "text", '"transcript"')
