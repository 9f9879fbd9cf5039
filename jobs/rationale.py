"""Let a teacher explain a corpus's gold labels on the cluster this job was submitted to.

ray job submit --working-dir . -- python jobs/rationale.py --config rationale.yaml
"""

from __future__ import annotations

import sys

from raypipe.reporting.console import Console
from raypipe.runtime.rationale.config import RationaleConfig, load_rationale_config
from raypipe.runtime.rationale.job import rationale
from raypipe.runtime.ray.submitted import submitted
from raypipe.store.run_record import RunRecord


def main() -> int:
    """Exit code: 0 when every utterance is accounted for, 1 on an error that stops the job."""
    return submitted(__doc__, load_rationale_config, on_this_cluster)


def on_this_cluster(config: RationaleConfig, console: Console) -> RunRecord:
    """The record of the finished job."""
    return rationale(config, address="auto", console=console)


if __name__ == "__main__":
    sys.exit(main())
