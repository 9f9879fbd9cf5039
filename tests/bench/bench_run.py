"""How much of the bare engine's speed is left in a whole run: reading, parsing, writing included.

    python tests/bench/bench_run.py --utterances 400 --repeats 3 --out run.json

One model actor in the run's stream against another one that is given the same shards, prepared, one
after the other, alternating. Time counts from the end of the first quarter of the shards, when all
stages have started, to the end of the last shard with its tables written. ``engine share`` is what
of that time the run's engine was busy; the rest is where a run loses: waiting for prepared shards,
handing over, or a second stage on the same cores.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "engines"))

import ray
from bench_engine import SHAPES
from random_checkpoint import save_checkpoint

from raypipe.config import RunConfig, parse_config
from raypipe.labels import LABEL_SETS
from raypipe.records import Search
from raypipe.runtime.infer.models import make_engine, make_frontend
from raypipe.runtime.infer.plan import make_plan
from raypipe.runtime.infer.preparing import prepare_shard
from raypipe.runtime.infer.shard_work import answer_shard
from raypipe.runtime.infer.spans import spans_of
from raypipe.runtime.infer.stages import shard_stream
from raypipe.runtime.ray.attempts import Attempts
from raypipe.runtime.ray.session import ray_session
from raypipe.runtime.ray.streams import rows_of
from raypipe.shards import write_shards
from raypipe.store.location import Location
from raypipe.tiny_alm.corpus import synthetic_utterances

MODELS = {"mid": SHAPES["mid"], "tiny-alm": None}


def run_rate(config: RunConfig, folder: Path) -> dict[str, float]:
    """Utterances/s of a run in full swing, and the engine's share of that time."""
    config = config.model_copy(update={"output": str(folder)})
    (model_run,) = make_plan(config).model_runs
    attempts = Attempts(uuid.uuid4().hex)
    stream = shard_stream(spans_of(model_run), model_run.config, model_run.context, attempts)
    with attempts.cleared():
        took = {row["shard"]: row["timings"] for row in rows_of(stream)}
    # A shard's predictions are written last.
    paths = folder.glob("predictions/**/*.parquet")
    written = sorted((path.stat().st_mtime, path.name) for path in paths)
    begun = len(written) // 4
    seconds = written[-1][0] - written[begun - 1][0]
    rest = [row for _, shard in written[begun:] for row in took[shard]]
    return {
        "utterances_per_s": sum(row["asked"] for row in rest) / seconds,
        "engine_share": sum(row["seconds"] for row in rest) / seconds,
    }


@ray.remote(num_cpus=0)
class BareEngine:
    """The engine alone, in a process like the run's."""

    def __init__(self, config: RunConfig) -> None:
        (model_run,) = make_plan(config).model_runs
        self._context = model_run.context
        frontend = make_frontend(config.model)
        self._shards = [
            prepare_shard(task, model_run.context, frontend) for task in model_run.tasks
        ]
        searches = [
            step.request for step in model_run.context.passes if isinstance(step.request, Search)
        ]
        self._engine = make_engine(config, model_run.context.emotion_tokens, searches)

    def rate(self) -> dict[str, float]:
        """Utterances/s after the first quarter of the shards."""
        begun = len(self._shards) // 4
        first, rest = self._shards[:begun], self._shards[begun:]
        for shard in first:
            answer_shard(shard, self._context, self._engine)
        started = time.monotonic()
        for shard in rest:
            answer_shard(shard, self._context, self._engine)
        count = sum(len(shard.rows.windows) for shard in rest)
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
    if arguments.utterances < 4 * arguments.rows_per_shard:
        parser.error("a run gets into full swing with four shards at least")
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
        bare = BareEngine.remote(config)
        rates: dict[str, list[dict[str, float]]] = {"run": [], "bare": []}
        for number in range(arguments.repeats):
            rates["run"].append(run_rate(config, folder / f"run-{number}"))
            rates["bare"].append(ray.get(bare.rate.remote()))
    medians = {
        name: {key: statistics.median(row[key] for row in rows) for key in rows[0]}
        for name, rows in rates.items()
    }
    ratio = medians["run"]["utterances_per_s"] / medians["bare"]["utterances_per_s"]
    result = {"settings": vars(arguments) | {"out": None}, "medians": medians, "all": rates}
    result |= {"run_to_bare": ratio, "cpus": os.cpu_count()}
    print(json.dumps({"medians": medians, "run_to_bare": ratio}, indent=2))
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
