"""Run a corpus through a model on the cluster this job was submitted to.

ray job submit --working-dir . -- python jobs/infer.py --config config.yaml
"""

from __future__ import annotations

import sys

from raypipe.config import RunConfig, load_config
from raypipe.reporting.console import Console
from raypipe.reporting.run.terminal import summary_table
from raypipe.runtime.infer.pipeline import run
from raypipe.runtime.ray.submitted import submitted
from raypipe.store.location import Location
from raypipe.store.query import table_dataset
from raypipe.store.run_record import RunRecord


def main() -> int:
    """Exit code: 0 when every utterance is accounted for, 1 on an error that stops the run."""
    return submitted(__doc__, load_config, on_this_cluster, show_metrics)


def on_this_cluster(config: RunConfig, console: Console) -> RunRecord:
    """The record of the finished run."""
    return run(config, address="auto", console=console)


def show_metrics(config: RunConfig, console: Console) -> None:
    """Print the run's table of metrics."""
    metrics = table_dataset(Location.parse(config.output, config.storage.endpoint), "metrics")
    if metrics is not None:
        console.print(summary_table(metrics.to_table()))


if __name__ == "__main__":
    sys.exit(main())
