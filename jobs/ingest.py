"""Write a corpus as shards on the cluster this job was submitted to.

ray job submit --working-dir . -- python jobs/ingest.py --config ingest.yaml
"""

from __future__ import annotations

import argparse
import sys

from raypipe.errors import RaypipeError, exit_code, interruption
from raypipe.reporting.console import Console
from raypipe.runtime.ingest.config import load_ingest_config
from raypipe.runtime.ingest.job import carry_out_ingest
from raypipe.runtime.ingest.plan import prepare_ingest
from raypipe.runtime.ingest.show import ingest_faults, show_ingest
from raypipe.runtime.ray.again import as_command
from raypipe.runtime.ray.submitted import tell_places
from raypipe.store.location import Location


def main() -> int:
    """Exit code: 0 when every input is accounted for, 1 on an error or without any label."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True, help="YAML file of the ingest")
    arguments = parser.parse_args()
    console = Console(width=120)
    try:
        with as_command(starts_again=False):
            config = load_ingest_config(arguments.config)
            tell_places(arguments.config, config, console, has_report=False)
            prepared = prepare_ingest(config)
            index = carry_out_ingest(prepared, address="auto", console=console)
    except RaypipeError as error:
        console.print(f"{type(error).__name__}: {error}", markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt as interrupt:
        console.print(interruption(interrupt), markup=False, soft_wrap=True)
        return exit_code()
    shards = Location.parse(config.output, config.storage.endpoint)
    show_ingest(index, shards, console)
    faults = ingest_faults(index, shards, prepared)
    for fault in faults:
        console.print(f"! {fault}", markup=False, soft_wrap=True)
    tell_places(arguments.config, config, console, has_report=False)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
