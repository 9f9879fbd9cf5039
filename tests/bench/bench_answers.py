"""What kinds of answers cost on one engine: greedy, beams, samples, scored labels.

    python tests/bench/bench_answers.py --copies 8 --batch-size 16
    python tests/bench/bench_answers.py --device cuda --dtype bfloat16 --shape 7b \\
        --copies 64 --batch-size 64

Every kind is asked by itself about the same clips, alternating; medians. Times are CPU seconds on a
CPU and wall seconds on a GPU. ``tokens`` are those that the decode steps feed in, all lanes of all
rows.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import transformers

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "engines"))

from bench_engine import PROMPT, SHAPES, WORKLOADS, synchronised_wall_clock
from random_checkpoint import save_checkpoint, sounds

from raypipe.engines.transformers import TransformersEngine, TransformersFrontend
from raypipe.engines.tree_decoder import _Slots
from raypipe.labels import label_set
from raypipe.records import Request, Sampling, Search

LABELS = label_set("crema-d-6")
FORMS = [form for name in LABELS.names for form in LABELS.written(name)]


def measured(run: Callable[[], object], now: Callable[[], float]) -> dict[str, float]:
    """Seconds, decode steps and tokens fed of one call of the engine."""
    counts = {"steps": 0, "tokens": 0}
    step = _Slots.step

    def counted(self: _Slots, occupants: Any) -> None:
        counts["steps"] += 1
        counts["tokens"] += self.lanes.tokens.numel()
        step(self, occupants)

    with patch.object(_Slots, "step", counted):
        started = now()
        run()
        return {"seconds": now() - started, **counts}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workload", choices=WORKLOADS, default="short")
    parser.add_argument("--copies", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--beams", type=int, default=5)
    parser.add_argument("--max-new-tokens", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--shape", choices=SHAPES, default="mid")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    transformers.utils.logging.disable_progress_bar()
    now = time.process_time if asked.device == "cpu" else synchronised_wall_clock
    with tempfile.TemporaryDirectory() as folder:
        save_checkpoint(Path(folder), SHAPES[asked.shape])
        frontend = TransformersFrontend(folder)
        engine = TransformersEngine(
            folder,
            emotion_tokens=frontend.emotion_tokens(LABELS),
            batch_size=asked.batch_size,
            device=asked.device,
            dtype=asked.dtype,
        )
        clips = sounds(WORKLOADS[asked.workload] * asked.copies, seed=21)
        inputs = frontend.prepare(
            [Request(str(number), PROMPT, clip) for number, clip in enumerate(clips)]
        )
        longest = asked.max_new_tokens
        kinds: dict[str, Callable[[], object]] = {
            "greedy": lambda: engine.generate(inputs, Search(0, True, longest)),
            "beams": lambda: engine.generate(inputs, Search(asked.beams, False, longest)),
            "samples": lambda: engine.sample(inputs, Sampling(asked.beams, longest)),
            "labels": lambda: engine.score_texts(inputs, FORMS),
        }
        for run in kinds.values():  # buffers, graphs, kernels
            run()
        found = {kind: [] for kind in kinds}
        for _ in range(asked.repeats):
            for kind, run in kinds.items():
                found[kind].append(measured(run, now))
    medians = {
        kind: {key: statistics.median(one[key] for one in rows) for key in rows[0]}
        for kind, rows in found.items()
    }
    beams = medians["beams"]["seconds"]
    for kind, row in medians.items():
        row["utterances_per_s"] = len(inputs) / row["seconds"]
        row["times_beams"] = beams / row["seconds"]
        print(kind, {key: round(value, 3) for key, value in row.items()}, flush=True)
    if asked.out is not None:
        asked.out.write_text(json.dumps({"asked": {**vars(asked), "out": None}, "kinds": medians}))


if __name__ == "__main__":
    main()
