"""``report.html`` of a run, from its tables and its record; no model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Final

import pyarrow as pa
import pyarrow.dataset as ds

from raypipe.errors import StoreError
from raypipe.labels import LabelSet
from raypipe.reporting.errors import ErrorTally
from raypipe.reporting.run.answers import MOST_ROWS
from raypipe.reporting.run.choosing import CHOOSING_COLUMNS, Candidates, candidates
from raypipe.reporting.run.digest import Digest
from raypipe.reporting.run.page import tallied_report
from raypipe.reporting.run.samples import NO_SAMPLES, Samples, gather_samples
from raypipe.reporting.run.scores import Approach
from raypipe.reporting.text import clean
from raypipe.reporting.view.tables import RunTables, shards_place
from raypipe.runtime.finish.folds import Folding, fold_here
from raypipe.runtime.finish.groups import ObjectGroup, cells_of, groups_of, read_rows
from raypipe.runtime.finish.partition import ModelPrompt, partition
from raypipe.runtime.finish.tally import CellTally, CountedCell, errors_in
from raypipe.store.damage import damage_named
from raypipe.store.location import Location
from raypipe.store.query import table_dataset
from raypipe.store.run_record import RunRecord
from raypipe.store.schemas import PREDICTIONS

REPORT: Final = "report.html"

_SHOWN_ERRORS: Final = 1000
_UNCOUNTED: Final = ("covariance", "audio_marks", "facts")
_NO_ROLE_IN_CHOOSING: Final = tuple(
    name for name in PREDICTIONS.names if name not in {*CHOOSING_COLUMNS, "model", "prompt"}
)


def write_report(
    tables: Location,
    record: RunRecord,
    labels: LabelSet,
    cells: Mapping[ModelPrompt, CountedCell] | None = None,
    fold: Folding = fold_here,
    *,
    with_audio: bool = True,
) -> None:
    """Write ``report.html`` from the tables as they stand.

    Args:
        tables: where the tables lie, and where the page goes.
        record: the run record.
        labels: of the corpus.
        cells: what was counted in all ``predictions/`` and ``errors/`` objects; None to do it here.
        fold: reads the objects.
        with_audio: whether the page holds recordings, as far as the shards are at hand.

    Raises:
        StoreError: if one of the tables is not there.
    """
    gains, fits = table_dataset(tables, "gains"), table_dataset(tables, "fits")
    with damage_named(tables):
        metrics = _dataset(tables, "metrics").to_table()
        known = _counted(tables, record, labels) if cells is None else dict(cells)
        in_order = sorted(known, key=lambda cell: partition(*cell))
        tallies = [known[cell].tally for cell in in_order]

        def samples(focus: Approach, typical_js: float | None) -> Samples:
            named = {_cleaned(approach): approach for approach in _approaches(known)}
            if focus not in named:
                return NO_SAMPLES
            return _samples(
                tables, record, labels, known, named[focus], typical_js, fold, with_audio
            )

        page = tallied_report(
            record,
            metrics,
            reduce(Digest.merge, (tally.digest for tally in tallies), Digest()),
            reduce(ErrorTally.merge, (tally.errors for tally in tallies), ErrorTally()),
            labels,
            first_answers(tables),
            None if gains is None else gains.to_table(),
            fits=None if fits is None else fits.to_table(),
            samples=samples,
        )
    tables.write(REPORT, page.encode())


def _counted(
    tables: Location, record: RunRecord, labels: LabelSet
) -> dict[ModelPrompt, CountedCell]:
    """What the objects of a run hold, read in this process, group by group."""

    def make(group: ObjectGroup, _: None) -> CellTally:
        rows = read_rows(tables, group.predictions, _UNCOUNTED)
        tally = CellTally.of_predictions(rows, record.run, labels)
        return tally.merge(errors_in(tables, group, record.run))

    counted = {}
    for cell, names in cells_of(tables).items():
        groups = groups_of(tables, cell, names)
        tally = fold_here(groups, make, CellTally.merge, CellTally.counted, None)
        counted[cell] = CountedCell(tuple(groups), tally)
    if not counted:
        raise StoreError(f"{tables.uri}: no predictions/, so there is nothing to report")
    return counted


def _approaches(cells: Mapping[ModelPrompt, CountedCell]) -> Iterator[Approach]:
    for (model, prompt), cell in cells.items():
        for strategy in {**cell.tally.valid, **cell.tally.invalid}:
            yield Approach(model, prompt, strategy)


def _cleaned(approach: Approach) -> Approach:
    return Approach(clean(approach.model), clean(approach.prompt), clean(approach.strategy))


def _samples(
    tables: Location,
    record: RunRecord,
    labels: LabelSet,
    cells: Mapping[ModelPrompt, CountedCell],
    focus: Approach,
    typical_js: float | None,
    fold: Folding,
    with_audio: bool,
) -> Samples:
    """The utterances that stand on the page; only their shards' objects are opened."""

    def make(group: ObjectGroup, _: None) -> Candidates:
        parts = []
        for name in group.predictions:
            rows = read_rows(tables, [name], _NO_ROLE_IN_CHOOSING)
            shard = pa.repeat(pa.scalar(name.rpartition("/")[2]), rows.num_rows)
            parts.append(rows.append_column("shard", shard))
        return candidates(pa.concat_tables(parts), focus, typical_js)

    groups = cells[focus.model, focus.prompt].groups
    chosen = fold(groups, make, Candidates.merge, lambda found: found.chosen, None)
    if not chosen:
        return NO_SAMPLES
    run = RunTables.of(
        tables.uri,
        tables,
        record,
        shards_place(record, tables.endpoint),
        frozenset(each.shard for each in chosen),
    )
    return gather_samples(run, labels, focus, chosen, with_audio=with_audio)


def first_answers(tables: Location) -> Iterator[pa.Table]:
    """The first rows of ``generations/`` of every model and prompt; none if the run has none."""
    place, rows, folder = tables.child("generations"), 0, None
    for name in place.list():
        if name.rpartition("/")[0] != folder:
            rows, folder = 0, name.rpartition("/")[0]
        if rows >= MOST_ROWS:
            continue
        table = read_rows(place, [name], ("emotion_logits",)).slice(0, MOST_ROWS - rows)
        rows += table.num_rows
        yield table.select(["model", "prompt", "hypotheses"])


def first_errors(tables: Location) -> ErrorTally:
    """Errors in the first objects of ``errors/``, until they are a thousand."""
    place, tally = tables.child("errors"), ErrorTally()
    for name in place.list():
        if tally.utterances >= _SHOWN_ERRORS:
            break
        tally = tally.merge(ErrorTally.of(read_rows(place, [name])))
    return tally


def _dataset(tables: Location, table: str) -> ds.Dataset:
    dataset = table_dataset(tables, table)
    if dataset is None:
        raise StoreError(f"{tables.uri}: no {table}/, so there is nothing to report; run it first")
    return dataset
