"""Run a corpus through a model on the cluster this job was submitted to.

ray job submit --working-dir . -- python jobs/infer.py --config config.yaml
"""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from raypipe.config import load_config
from raypipe.errors import RaypipeError
from raypipe.reporting.run.terminal import summary_table
from raypipe.runtime.infer.pipeline import run
from raypipe.store.location import Location
from raypipe.store.query import table_dataset


def main() -> int:
    """Exit code: 0 when every utterance is accounted for, 1 on an error that stops the run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True, help="YAML file of the run")
    arguments = parser.parse_args()
    console = Console(width=120)
    try:
        config = load_config(arguments.config)
        record = run(config, address="auto", console=console)
    except RaypipeError as error:
        console.print(f"{type(error).__name__}: {error}", markup=False)
        return 1
    metrics = table_dataset(Location.parse(config.output, config.storage.endpoint), "metrics")
    if metrics is not None:
        console.print(summary_table(metrics.to_table()))
    console.print_json(data=record.done_counts.model_dump(mode="json", exclude_none=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
