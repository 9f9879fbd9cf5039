"""Relabel a corpus by its typed descriptions on the cluster this job was submitted to.

ray job submit --working-dir . -- python jobs/relabel.py --config relabel.yaml
"""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from raypipe.errors import RaypipeError
from raypipe.runtime.relabel.config import load_relabel_config
from raypipe.runtime.relabel.job import relabel


def main() -> int:
    """Exit code: 0 when every utterance is accounted for, 1 on an error that stops the job."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True, help="YAML file of the job")
    arguments = parser.parse_args()
    console = Console(width=120)
    try:
        record = relabel(load_relabel_config(arguments.config), address="auto", console=console)
    except RaypipeError as error:
        console.print(f"{type(error).__name__}: {error}", markup=False, soft_wrap=True)
        return 1
    console.print_json(data=record.done_counts.model_dump(mode="json", exclude_none=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
