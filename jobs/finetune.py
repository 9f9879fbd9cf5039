"""Train a LoRA adapter on the cluster this job was submitted to.

ray job submit --working-dir . -- python jobs/finetune.py --config finetune.yaml
"""

from __future__ import annotations

import sys

from raypipe.finetune.record import FinetuneRecord
from raypipe.reporting.console import Console
from raypipe.runtime.finetune.config import FinetuneConfig, load_finetune_config
from raypipe.runtime.finetune.job import finetune
from raypipe.runtime.ray.submitted import submitted


def main() -> int:
    """Exit code: 0 when there is an adapter, 1 on an error that stops the job."""
    return submitted(__doc__, load_finetune_config, on_this_cluster)


def on_this_cluster(config: FinetuneConfig, console: Console) -> FinetuneRecord:
    """The record of the finished job."""
    return finetune(config, address="auto", console=console)


if __name__ == "__main__":
    sys.exit(main())
