"""Classify answers of finished runs on the cluster this job was submitted to.

ray job submit --working-dir . -- python jobs/classify.py --config classify.yaml
"""

from __future__ import annotations

import sys

from raypipe.reporting.console import Console
from raypipe.runtime.classify.config import ClassifyConfig, load_classify_config
from raypipe.runtime.classify.job import classify
from raypipe.runtime.ray.submitted import submitted
from raypipe.store.run_record import RunRecord


def main() -> int:
    """Exit code: 0 when every answer is accounted for, 1 on an error that stops the job."""
    return submitted(__doc__, load_classify_config, on_this_cluster)


def on_this_cluster(config: ClassifyConfig, console: Console) -> RunRecord:
    """The record of the finished job."""
    return classify(config, address="auto", console=console)


if __name__ == "__main__":
    sys.exit(main())
