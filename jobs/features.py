"""Encode a corpus with frozen encoders on the cluster this job was submitted to.

ray job submit --working-dir . -- python jobs/features.py --config features.yaml
"""

from __future__ import annotations

import sys

from raypipe.reporting.console import Console
from raypipe.runtime.features.config import FeaturesConfig, load_features_config
from raypipe.runtime.features.job import features
from raypipe.runtime.ray.submitted import submitted
from raypipe.store.run_record import RunRecord


def main() -> int:
    """Exit code: 0 when every utterance is accounted for, 1 on an error that stops the job."""
    return submitted(__doc__, load_features_config, on_this_cluster, has_report=False)


def on_this_cluster(config: FeaturesConfig, console: Console) -> RunRecord:
    """The record of the finished job."""
    return features(config, address="auto", console=console)


if __name__ == "__main__":
    sys.exit(main())
