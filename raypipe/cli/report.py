"""``raypipe report``."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from raypipe.cli.common import Endpoint, show_run
from raypipe.reporting.console import Console


def report(
    run: Annotated[str, typer.Argument(help="Run directory, a path or s3:// URI.")],
    endpoint: Endpoint = None,
    audio: Annotated[
        bool, typer.Option(help="Let the page hold recordings of some utterances.")
    ] = True,
) -> None:
    """Write a finished run's report.html again and print its table."""
    from raypipe.errors import StoreError
    from raypipe.labels import LabelSet
    from raypipe.runtime.finish.report import REPORT, write_report
    from raypipe.store.location import Location
    from raypipe.store.query import table_dataset
    from raypipe.store.rationale_schema import RATIONALE_TABLES
    from raypipe.store.run_record import read_record

    tables = Location.parse(run, endpoint)
    record = read_record(tables)
    labels = table_dataset(tables, "labels")
    if labels is not None:
        from raypipe.reporting.relabel.page import html_relabelling

        tables.write(REPORT, html_relabelling(labels.to_table(), record).encode())
        Console().print(f"{REPORT} in {run}", highlight=False)
        return
    judgements = table_dataset(tables, "judgements")
    if judgements is not None:
        from raypipe.reporting.judge.page import html_judgements

        tables.write(REPORT, html_judgements(judgements.to_table(), record).encode())
        Console().print(f"{REPORT} in {run}", highlight=False)
        return
    if table_dataset(tables, "table1") is not None:
        raise StoreError(
            f"{run}: a report of raypipe classify is made from the runs it read: start the same "
            "command again"
        )
    for name in RATIONALE_TABLES.values():
        rationales = table_dataset(tables, name)
        if rationales is not None:
            from raypipe.explain.rationale.findings import COUNTS, rationale_findings
            from raypipe.reporting.rationale.page import html_rationales

            left_out = json.loads(tables.read(COUNTS))["left_out"]
            findings = rationale_findings(rationales.to_table(), left_out)
            tables.write(REPORT, html_rationales(findings, record).encode())
            Console().print(f"{REPORT} in {run}", highlight=False)
            return
    write_report(tables, record, LabelSet(record.labels), with_audio=audio)
    show_run(run, record, Console(), endpoint)
