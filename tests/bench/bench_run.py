"""How much of the bare engine's speed is left in a whole run: reading, parsing, writing included.

    python tests/bench/bench_run.py --utterances 400 --repeats 3 --out run.json

One model actor on Ray against the same shards answered one after the other in this process by the
same code, alternating. Both begin with the model loaded and end with the last shard: of the run
the time counts from the first finished shard to the last one, and as many utterances. ``engine
share`` is what of that time the run's engine was busy; the rest is where a run loses: waiting for
prepared shards, handing over, or a second stage on the same cores.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "engines"))

from bench_engine import SHAPES
from random_checkpoint import save_checkpoint

from raypipe.config import RunConfig, parse_config
from raypipe.labels import LABEL_SETS
from raypipe.runtime.context import RunContext
from raypipe.runtime.models import make_engine, make_frontend
from raypipe.runtime.plan import make_plan
from raypipe.runtime.preparing import prepare_shard
from raypipe.runtime.session import ray_session
from raypipe.runtime.shard_work import answer_shard
from raypipe.runtime.stages import shard_stream
from raypipe.runtime.timings import read_timings
from raypipe.shards import write_shards
from raypipe.store.location import Location
from raypipe.tiny_alm.corpus import synthetic_utterances

MODELS = {"mid": SHAPES["mid"], "tiny-alm": None}


def run_rate(config: RunConfig, folder: Path) -> dict[str, float]:
    """Utterances/s of the stream after its first shard, and the engine's share of that time."""
    config = config.model_copy(update={"output": str(folder)})
    (leg,) = make_plan(config).legs
    finished: list[tuple[float, int]] = []
    for batch in shard_stream(leg.pending, leg.config, leg.context).iter_batches(
        batch_size=1, batch_format="pyarrow", prefetch_batches=0
    ):
        finished += [(time.monotonic(), row["utterances"]) for row in batch.to_pylist()]
    seconds = finished[-1][0] - finished[0][0]
    busy = sum(one["seconds"] for one in read_timings(leg.context.tables, [leg.context.model]))
    counted = sum(utterances for _, utterances in finished)
    rest = sum(utterances for _, utterances in finished[1:])
    return {
        "utterances_per_s": rest / seconds,
        "engine_share": busy * rest / counted / seconds,
    }


def bare_rate(engine: Any, shards: list[Any], context: RunContext) -> dict[str, float]:
    """Utterances/s of the engine alone, after its first shard."""
    answer_shard(shards[0], context, engine)
    started = time.monotonic()
    for shard in shards[1:]:
        answer_shard(shard, context, engine)
    count = sum(len(shard.parts) for shard in shards[1:])
    return {"utterances_per_s": count / (time.monotonic() - started), "engine_share": 1.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", choices=MODELS, default="mid")
    parser.add_argument("--utterances", type=int, default=320)
    parser.add_argument("--rows-per-shard", type=int, default=32)
    parser.add_argument("--beams", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ray_session():
        folder = Path(name)
        shape, path = MODELS[arguments.model], arguments.model
        if shape is not None:
            path = str(folder / "model")
            save_checkpoint(Path(path), shape)
        write_shards(
            synthetic_utterances(arguments.utterances, seed=1, split="test"),
            Location.parse(str(folder / "shards")),
            LABEL_SETS["crema-d-6"],
            rows_per_shard=arguments.rows_per_shard,
            fixed_sentences=True,
            source="bench",
        )
        config = parse_config(
            {
                "input": {"shards": str(folder / "shards")},
                "output": str(folder / "out"),
                "model": {"path": path},
                "decoding": {"beam_count": arguments.beams},
                "resources": {"threads_per_actor": 1},
            }
        )
        (leg,) = make_plan(config).legs
        frontend = make_frontend(config.model)
        shards = [prepare_shard(task, leg.context, frontend) for task in leg.tasks]
        searches = [question.search for question in leg.context.questions]
        engine = make_engine(config, leg.context.emotion_tokens, searches)
        found: dict[str, list[dict[str, float]]] = {"run": [], "bare": []}
        for number in range(arguments.repeats):
            found["run"].append(run_rate(config, folder / f"run-{number}"))
            found["bare"].append(bare_rate(engine, shards, leg.context))
    medians = {
        name: {key: statistics.median(one[key] for one in rows) for key in rows[0]}
        for name, rows in found.items()
    }
    ratio = medians["run"]["utterances_per_s"] / medians["bare"]["utterances_per_s"]
    result = {"settings": vars(arguments) | {"out": None}, "medians": medians, "all": found}
    result |= {"run_to_bare": ratio, "cpus": os.cpu_count()}
    print(json.dumps({"medians": medians, "run_to_bare": ratio}, indent=2))
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
