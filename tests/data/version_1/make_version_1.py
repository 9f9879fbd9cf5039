"""Makes the shards and the run beside it, as version 1 of the tables wrote them.

It was run once, in this folder, with version 0.1.0 of raypipe (commit f5eef71) on the path:

    PYTHONPATH=CHECKOUT_OF_0.1.0 python make_version_1.py
"""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import soundfile


def shortened(row: Any) -> Any:
    """The first second of a clip, as FLAC, so that the files stay small."""
    samples, rate = soundfile.read(io.BytesIO(row.audio), dtype="int16")
    sink = io.BytesIO()
    soundfile.write(sink, samples[:rate], rate, format="FLAC")
    return replace(row, audio=sink.getvalue(), duration_s=min(1.0, row.duration_s))


def main() -> None:
    # Modules of version 0.1.0: some stand elsewhere today.
    from raypipe.config import parse_config
    from raypipe.labels import LABEL_SETS
    from raypipe.runtime.pipeline import run
    from raypipe.shards import write_shards
    from raypipe.store.location import Location
    from raypipe.tiny_alm.corpus import synthetic_utterances

    write_shards(
        map(shortened, synthetic_utterances(4, seed=11, split="test")),
        Location.parse("shards"),
        LABEL_SETS["crema-d-6"],
        rows_per_shard=2,
        fixed_sentences=True,
        source="synthetic speech, 4 utterances, seed 11",
    )
    config = {
        "input": {"shards": "shards"},
        "output": "run",
        "strategies": ["greedy", "token", "w_bon", "bon", "cot"],
        "decoding": {"beam_count": 2},
        "prompt": {"cot_max_new_tokens": 60},
        "metrics": {"replicates": 100},
    }
    run(parse_config(config))
    Path("run/report.html").unlink()  # raypipe report makes it anew


if __name__ == "__main__":
    main()
