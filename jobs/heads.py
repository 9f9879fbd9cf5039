"""Train heads on features on the cluster this job was submitted to.

ray job submit --working-dir . -- python jobs/heads.py --config heads.yaml
"""

from __future__ import annotations

import sys

from raypipe.reporting.console import Console
from raypipe.runtime.heads.config import HeadsConfig, load_heads_config
from raypipe.runtime.heads.job import heads
from raypipe.runtime.ray.submitted import submitted
from raypipe.store.run_record import RunRecord


def main() -> int:
    """Exit code: 0 when every utterance is accounted for, 1 on an error that stops the job."""
    return submitted(__doc__, load_heads_config, on_this_cluster)


def on_this_cluster(config: HeadsConfig, console: Console) -> RunRecord:
    """The record of the finished job."""
    return heads(config, address="auto", console=console)


if __name__ == "__main__":
    sys.exit(main())
