"""``report.html`` of a run, from its tables and its record; no Ray, no model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial

import pyarrow as pa
import pyarrow.dataset as ds

from raypipe.errors import StoreError
from raypipe.labels import LabelSet
from raypipe.reporting.run.answers import MOST_ROWS
from raypipe.reporting.run.page import html_report
from raypipe.reporting.run.samples import gather_samples
from raypipe.reporting.view.tables import RunTables, shards_place
from raypipe.store.damage import damage_named
from raypipe.store.location import Location
from raypipe.store.query import table_dataset
from raypipe.store.run_record import RunRecord

REPORT = "report.html"


def write_report(
    tables: Location, record: RunRecord, labels: LabelSet, *, with_audio: bool = True
) -> None:
    """Write ``report.html`` from the tables as they stand.

    Args:
        tables: where the tables lie, and where the page goes.
        record: the run record.
        labels: of the corpus.
        with_audio: whether the page holds recordings, as far as the shards are at hand.

    Raises:
        StoreError: if one of the tables is not there.
    """
    gains, fits = table_dataset(tables, "gains"), table_dataset(tables, "fits")
    run = RunTables.of(tables.uri, tables, record, shards_place(record, tables.endpoint))
    with damage_named(tables):
        page = html_report(
            record,
            _dataset(tables, "metrics").to_table(),
            _batches(_dataset(tables, "predictions")),
            _dataset(tables, "errors").to_table(),
            labels,
            first_answers(tables),
            None if gains is None else gains.to_table(),
            fits=None if fits is None else fits.to_table(),
            samples=partial(gather_samples, run, labels, with_audio=with_audio),
        )
    tables.write(REPORT, page.encode())


def first_answers(tables: Location) -> Iterator[pa.Table]:
    """The first rows of ``generations/`` of every model and prompt; none if the run has none."""
    dataset = table_dataset(tables, "generations")
    if dataset is None:
        return
    rows: Counter[str] = Counter()
    for fragment in sorted(dataset.get_fragments(), key=lambda fragment: str(fragment.path)):
        folder = str(fragment.path).rpartition("/")[0]
        if rows[folder] >= MOST_ROWS:
            continue
        columns = ["model", "prompt", "hypotheses"]
        scanner = ds.Scanner.from_fragment(fragment, schema=dataset.schema, columns=columns)
        table = scanner.head(MOST_ROWS - rows[folder])
        rows[folder] += table.num_rows
        yield table


def _dataset(tables: Location, table: str) -> ds.Dataset:
    dataset = table_dataset(tables, table)
    if dataset is None:
        raise StoreError(f"{tables.uri}: no {table}/, so there is nothing to report; run it first")
    return dataset


def _batches(dataset: ds.Dataset) -> Iterator[pa.Table]:
    for batch in dataset.to_batches(batch_size=4096):
        yield pa.Table.from_batches([batch])
