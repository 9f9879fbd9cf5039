"""``raypipe heads``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from raypipe.cli.common import Address, Insecure, show_run
from raypipe.reporting.console import Console


def heads_command(
    config: Annotated[Path, typer.Argument(help="YAML file of the job.")],
    address: Address = None,
    insecure: Insecure = False,
) -> None:
    """Train light heads on features; their test predictions stand in tables like a model's."""
    from raypipe.runtime.heads.config import load_heads_config
    from raypipe.runtime.heads.plan import plan_heads

    console = Console()
    settings = load_heads_config(config)
    plan = plan_heads(settings)

    from raypipe.runtime.heads.job import carry_out_heads  # loads Ray

    record = carry_out_heads(plan, address=address, console=console)
    show_run(settings.output, record, console, settings.storage.endpoint)

    from raypipe.reporting.gains import terminal_tables
    from raypipe.store.query import query, table_dataset

    table = Table()
    for name in ("encoder", "head", "strategy"):
        table.add_column(name, overflow="fold")
    for name in ("threshold F1", "mean over 32s", "folds"):
        table.add_column(name, justify="right")
    for row in query(plan.tables, THRESHOLD_SCORES).to_pylist():
        scores = (f"{row['pooled']:.3f}", f"{row['batches']:.3f}")
        names = (Text(row[column]) for column in ("model", "prompt", "strategy"))
        table.add_row(*names, *scores, str(row["folds"]))
    console.print(table)
    gains = table_dataset(plan.tables, "gains")
    if gains is not None:
        for compared in terminal_tables(gains.to_table()):
            console.print(compared)


THRESHOLD_SCORES = """
SELECT model, prompt, strategy, count(*) AS folds,
       avg(threshold_macro_f1) AS pooled, avg(batch_threshold_macro_f1) AS batches
FROM heads WHERE threshold_macro_f1 IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
"""Threshold macro-F1 of every head: means over its folds of the score of a fold's test set."""
