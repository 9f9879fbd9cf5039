"""Judge two systems' reasons on the cluster this job was submitted to.

ray job submit --working-dir . -- python jobs/judge.py --config judge.yaml
"""

from __future__ import annotations

import sys

from raypipe.reporting.console import Console
from raypipe.runtime.judge.config import JudgeConfig, load_judge_config
from raypipe.runtime.judge.job import judge
from raypipe.runtime.ray.submitted import submitted
from raypipe.store.run_record import RunRecord


def main() -> int:
    """Exit code: 0 when every pair is accounted for, 1 on an error that stops the job."""
    return submitted(__doc__, load_judge_config, on_this_cluster)


def on_this_cluster(config: JudgeConfig, console: Console) -> RunRecord:
    """The record of the finished job."""
    return judge(config, address="auto", console=console)


if __name__ == "__main__":
    sys.exit(main())
