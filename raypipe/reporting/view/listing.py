"""The rows of an overview: DuckDB searches, filters, sorts and cuts; Python sees one page."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from raypipe.errors import ConfigError
from raypipe.reporting.names import PRIMARY
from raypipe.reporting.run.scores import Approach
from raypipe.reporting.view.columns import (
    HomeTable,
    SqlCondition,
    ViewColumn,
    condition,
    known_column,
    view_columns,
)
from raypipe.reporting.view.selection import ViewSelection
from raypipe.reporting.view.tables import RunTables, approach_key
from raypipe.store.sandbox import sandbox
from raypipe.store.views import text_literal

ROWS_PER_PAGE: Final = 50
_ROWS_WITH_FACTS: Final = 2000
_MOST_FACTS: Final = 200
_MOST_TOTALS: Final = 256


@dataclass(frozen=True, slots=True)
class PlacedApproach:
    """An approach of one of the runs.

    Attributes:
        run: number of the run, from 0.
    """

    run: int
    approach: Approach

    @property
    def key(self) -> str:
        """What an address calls it."""
        return approach_key(self.run, self.approach)

    def where(self, alias: str) -> str:
        """The condition for its rows in ``predictions/``."""
        parts = {
            "model": self.approach.model,
            "prompt": self.approach.prompt,
            "strategy": self.approach.strategy,
        }
        # Names that the table itself holds; as literals, because DuckDB hands those to the scan.
        return " AND ".join(f"{alias}.{name} = {text_literal(v)}" for name, v in parts.items())


@dataclass(frozen=True, slots=True)
class ListedUtterance:
    """A row of an overview.

    Attributes:
        values: of columns of ``predictions/`` by name.
        beside: the same of the approach beside it; None if that has no such row.
        transcript: None where it is not known.
        shown: values of the column that is sorted by and of those that are filtered by.
    """

    utterance_id: str
    values: Mapping[str, object]
    beside: Mapping[str, object] | None
    transcript: str | None


@dataclass(frozen=True, slots=True)
class ListedPage:
    """A page of rows.

    Attributes:
        total: rows of all pages.
        first: number of the first row, from 0.
    """

    rows: tuple[ListedUtterance, ...]
    total: int
    first: int


class OpenRuns:
    """Runs that are looked into, and one DuckDB connection over all of them.

    The connection is used by one request at a time.

    Args:
        runs: at least one.
    """

    def __init__(self, runs: Sequence[RunTables]) -> None:
        self.runs = tuple(runs)
        self._lock = threading.Lock()
        self._totals: dict[SqlCondition, int] = {}
        self._connection = sandbox()
        for number, run in enumerate(self.runs):
            for table, dataset in run.datasets.items():
                self._connection.register(f"{table}_{number}", dataset)

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    @cached_property
    def approaches(self) -> Mapping[str, PlacedApproach]:
        """All approaches of all runs by their keys."""
        placed = (
            PlacedApproach(number, approach)
            for number, run in enumerate(self.runs)
            for approach in run.approaches()
        )
        return {each.key: each for each in placed}

    def chosen(self, selection: ViewSelection) -> tuple[PlacedApproach, PlacedApproach | None]:
        """The approach that is listed, and the one beside it.

        Raises:
            ConfigError: if the address names one that there is not, or no run has predictions.
        """
        if not self.approaches:
            raise ConfigError("there are no predictions to look at")
        of = self._approach(selection.of) if selection.of else next(iter(self.approaches.values()))
        if selection.beside is None:
            return of, self._of_another_run(of)
        return of, self._approach(selection.beside) if selection.beside else None

    def _of_another_run(self, of: PlacedApproach) -> PlacedApproach | None:
        """The approach of the next run that is most like one: equal, or of the same strategy."""
        if len(self.runs) == 1:
            return None
        other = (of.run + 1) % len(self.runs)
        placed = [each for each in self.approaches.values() if each.run == other]
        same = [each for each in placed if each.approach == of.approach]
        alike = [each for each in placed if each.approach.strategy == of.approach.strategy]
        return next(iter([*same, *alike, *placed]), None)

    def _approach(self, key: str) -> PlacedApproach:
        if key not in self.approaches:
            raise ConfigError(f"no run has predictions of {key[:120]!r}")
        return self.approaches[key]

    @cached_property
    def _fact_names(self) -> tuple[tuple[str, ...], ...]:
        """Names of manifest columns of each run, as far as its first rows have them."""
        names = []
        for number in range(len(self.runs)):
            rows = self._ask(
                f"SELECT DISTINCT unnest(map_keys(facts)) AS name FROM "
                f"(SELECT facts FROM predictions_{number} LIMIT {_ROWS_WITH_FACTS}) "
                f"ORDER BY name LIMIT {_MOST_FACTS}"
            )
            names.append(tuple(str(name) for (name,) in rows))
        return tuple(names)

    def columns(self, run: int) -> dict[str, ViewColumn]:
        """Columns of a run that rows can be chosen by, by name."""
        homes: tuple[HomeTable, ...] = ("predictions", "generations")
        datasets = self.runs[run].datasets
        schemas = {home: datasets[home].schema for home in homes if home in datasets}
        return view_columns(schemas, self._fact_names[run])

    def sortable(self, run: int) -> tuple[str, ...]:
        """Columns of ``predictions/`` that hold numbers, the ranking metric first."""
        columns = self.columns(run).values()
        names = [c.name for c in columns if c.table == "predictions" and c.kind == "number"]
        return tuple(sorted(names, key=lambda name: name != PRIMARY))

    def page(self, selection: ViewSelection) -> ListedPage:
        """The rows that a selection lists.

        Raises:
            ConfigError: if it names a column or an approach that there is not.
        """
        first = (selection.page - 1) * ROWS_PER_PAGE
        ids = self._ids(self._listing(selection), first, ROWS_PER_PAGE)
        total = self._total(self._listing(selection, is_counted=True))
        return ListedPage(self._rows(selection, ids), total, first)

    def _total(self, listing: SqlCondition) -> int:
        """Rows of a list; the tables of open runs do not change, so they are counted once."""
        total = self._totals.get(listing)
        if total is None:
            [(counted,)] = self._ask(f"SELECT count(*) {listing.sql}", listing.parameters)
            total = int(str(counted))
            if len(self._totals) >= _MOST_TOTALS:
                self._totals.clear()
            self._totals[listing] = total
        return total

    def neighbours(self, selection: ViewSelection, place: int) -> list[str]:
        """Utterance ids around a place of the list, from 0: the one before, at and after it."""
        first = max(place - 1, 0)
        ids = self._ids(self._listing(selection), first, place - first + 2)
        return ids if place else ["", *ids]

    def _ids(self, listing: SqlCondition, first: int, rows: int) -> list[str]:
        sql = f"SELECT p.utterance_id {listing.sql} LIMIT ? OFFSET ?"
        found = self._ask(sql, (*listing.parameters, rows, first))
        return [str(utterance_id) for (utterance_id,) in found]

    def _listing(self, selection: ViewSelection, *, is_counted: bool = False) -> SqlCondition:
        """FROM, WHERE and ORDER BY; to count rows, no more than WHERE needs."""
        of, beside = self.chosen(selection)
        conditions = [SqlCondition(of.where("p"), ()), *self._conditions(selection, of)]
        where = " AND ".join(f"({each.sql})" for each in conditions)
        parameters = tuple(value for each in conditions for value in each.parameters)
        source = f"FROM predictions_{of.run} AS p WHERE {where}"
        if is_counted:
            return SqlCondition(source, parameters)
        # Within brackets, so that a condition's column is not mistaken for that of the other side.
        source = f"FROM (SELECT * {source}) AS p"
        if beside is not None and selection.side != "of":
            source += (
                f" LEFT JOIN (SELECT * FROM predictions_{beside.run} AS q WHERE "
                f"{beside.where('q')}) AS o ON o.utterance_id = p.utterance_id"
            )
        order = self._order(selection, of, beside)
        return SqlCondition(f"{source} ORDER BY {order}p.utterance_id", parameters)

    def _order(
        self, selection: ViewSelection, of: PlacedApproach, beside: PlacedApproach | None
    ) -> str:
        """What comes before the id in ORDER BY."""
        name = self.sort_column(selection)
        if not name:
            return ""
        sides = {"p": of.run}
        if selection.side != "of":
            if beside is None:
                raise ConfigError(f"side {selection.side}: nothing stands beside the list")
            sides = {"o": beside.run} if selection.side == "beside" else {"o": beside.run, **sides}
        values = []
        for alias, run in sides.items():
            column = known_column(self.columns(run), name)
            if column.name not in self.sortable(run):
                raise ConfigError(f"rows are not sorted by column {name}")
            values.append(f"{alias}.{column.sql}")
        value = " - ".join(values)
        # Not a number is no number: it is last, as is what is missing.
        number = f"CASE WHEN isnan(({value})::DOUBLE) THEN NULL ELSE {value} END"
        return f"{number} {'DESC' if selection.descending else 'ASC'} NULLS LAST, "

    def sort_column(self, selection: ViewSelection) -> str:
        """Name of the column that rows are sorted by; empty for their ids alone."""
        of, _ = self.chosen(selection)
        if selection.sort == "utterance_id":
            return ""
        return selection.sort or next(iter(self.sortable(of.run)), "")

    def _conditions(self, selection: ViewSelection, of: PlacedApproach) -> list[SqlCondition]:
        columns = self.columns(of.run)
        conditions = []
        if selection.search:
            words = "contains(lower({}), lower(?))".format
            here, parameters = words("p.utterance_id"), [selection.search]
            if "generations" in self.runs[of.run].datasets:
                there = self._in_generations(of, words("transcript"))
                here, parameters = f"{here} OR {there}", parameters * 2
            conditions.append(SqlCondition(here, tuple(parameters)))
        for row in selection.filters:
            column = known_column(columns, row.column)
            built = condition(column, row)
            if column.table == "generations":
                built = SqlCondition(self._in_generations(of, built.sql), built.parameters)
            conditions.append(built)
        return conditions

    def _in_generations(self, of: PlacedApproach, sql: str) -> str:
        """The condition that a row of ``generations/`` about the utterance fulfils another one."""
        cell = (of.approach.model, of.approach.prompt)
        answered = self.runs[of.run].answered_under
        # An ensemble of models has no answers of its own; every model's rows tell of utterances.
        model, prompt = cell if cell in answered or not answered else answered[0]
        where = f"model = {text_literal(model)} AND prompt = {text_literal(prompt)}"
        return (
            f"p.utterance_id IN (SELECT utterance_id FROM generations_{of.run} "
            f"WHERE {where} AND ({sql}))"
        )

    def _rows(self, selection: ViewSelection, ids: Sequence[str]) -> tuple[ListedUtterance, ...]:
        if not ids:
            return ()
        of, beside = self.chosen(selection)
        sort = self.sort_column(selection)
        own = self._values(of, ids, sort)
        other = {} if beside is None else self._values(beside, ids, sort)
        transcripts = self._transcripts(of, ids)
        return tuple(
            ListedUtterance(key, own[key], other.get(key), transcripts.get(key)) for key in ids
        )

    def _values(
        self, placed: PlacedApproach, ids: Sequence[str], sort: str
    ) -> dict[str, Mapping[str, object]]:
        known = self.columns(placed.run)
        wanted = dict.fromkeys(("predicted", "plurality", "valid", "invalid_reason", PRIMARY, sort))
        columns = [known[name] for name in wanted if name in known]
        chosen = ", ".join(f"p.{column.sql}" for column in columns)
        rows = self._ask(
            f"SELECT p.utterance_id, {chosen} FROM predictions_{placed.run} AS p "
            f"WHERE {placed.where('p')} AND p.utterance_id IN ({_literals(ids)})"
        )
        names = [column.name for column in columns]
        return {str(key): dict(zip(names, values, strict=True)) for key, *values in rows}

    def _transcripts(self, of: PlacedApproach, ids: Sequence[str]) -> dict[str, str | None]:
        if "generations" not in self.runs[of.run].datasets:
            return {}
        rows = self._ask(
            f"SELECT utterance_id, any_value(transcript) FROM generations_{of.run} "
            f"WHERE utterance_id IN ({_literals(ids)}) GROUP BY utterance_id"
        )
        return {str(key): None if text is None else str(text) for key, text in rows}

    def _ask(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[object, ...]]:
        with self._lock:
            rows: list[tuple[object, ...]] = self._connection.execute(sql, parameters).fetchall()
        return rows


def _literals(ids: Sequence[str]) -> str:
    """Ids that a table holds, as SQL; DuckDB hands literals to the scan, parameters it does not."""
    return ", ".join(map(text_literal, ids))
