"""Write a corpus as shards on the cluster this job was submitted to.

ray job submit --working-dir . -- python jobs/ingest.py --config ingest.yaml
"""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from raypipe.errors import RaypipeError
from raypipe.runtime.ingest.config import load_ingest_config
from raypipe.runtime.ingest.job import ingest
from raypipe.runtime.ingest.show import show_ingest
from raypipe.store.location import Location


def main() -> int:
    """Exit code: 0 when every input is accounted for, 1 on an error that stops the ingest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True, help="YAML file of the ingest")
    arguments = parser.parse_args()
    console = Console(width=120)
    try:
        config = load_ingest_config(arguments.config)
        index = ingest(config, address="auto", console=console)
    except RaypipeError as error:
        console.print(f"{type(error).__name__}: {error}", markup=False, soft_wrap=True)
        return 1
    show_ingest(index, Location.parse(config.output, config.storage.endpoint), console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
