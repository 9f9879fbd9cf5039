"""Relabel a corpus by its typed descriptions on the cluster this job was submitted to.

ray job submit --working-dir . -- python jobs/relabel.py --config relabel.yaml
"""

from __future__ import annotations

import sys

from raypipe.reporting.console import Console
from raypipe.runtime.ray.submitted import submitted
from raypipe.runtime.relabel.config import RelabelConfig, load_relabel_config
from raypipe.runtime.relabel.job import relabel
from raypipe.store.run_record import RunRecord


def main() -> int:
    """Exit code: 0 when every utterance is accounted for, 1 on an error that stops the job."""
    return submitted(__doc__, load_relabel_config, on_this_cluster)


def on_this_cluster(config: RelabelConfig, console: Console) -> RunRecord:
    """The record of the finished job."""
    return relabel(config, address="auto", console=console)


if __name__ == "__main__":
    sys.exit(main())
