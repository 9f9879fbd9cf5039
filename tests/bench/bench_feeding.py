"""What share of its time an engine is busy in a run: is it ever without a shard while some wait?

    python tests/bench/bench_feeding.py --utterances 2000 --rows-per-shard 100 --repeats 3

One model actor whose engine takes 20 ms for every utterance, whatever the CPUs do, with features of
real clips' size. The share is that of the time from its second call to its last, so that starting
up and the last shard's tables do not count. ``gap`` is the median time between two calls.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench_overhead import WRITE
from fake_engine import offer_in

TESTS = Path(__file__).parents[1]


def environment_in(folder: Path, root: Path) -> dict[str, str]:
    """Variables of a process with the timed engine and the code of a checkout."""
    offer_in(folder, "timed")
    path = [root, TESTS, Path(__file__).parent, folder]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}


def run(folder: Path, number: int, environment: dict[str, str], given: argparse.Namespace) -> float:
    """Share of its time that the engine of one run was busy; the gaps are printed."""
    calls = folder / f"calls-{number}.jsonl"
    document = {
        "input": {"shards": str(folder / "shards")},
        "output": str(folder / f"out-{number}"),
        "model": {
            "engine": "timed",
            "path": "none",
            "name": "timed",
            "options": {"utterance_s": given.utterance_ms / 1000, "calls": str(calls)},
        },
        "decoding": {"beam_count": given.beams},
        "metrics": {"replicates": 100},
        "resources": {"gpus_per_actor": 0, "shards_per_call": given.shards_per_call},
    }
    config = folder / f"run-{number}.yaml"
    config.write_text(yaml.safe_dump(document))
    subprocess.run(
        [sys.executable, "-m", "raypipe", "run", str(config)],
        env=environment,
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    # The order in which they ended; one actor asks one question at a time.
    _, *rest = [json.loads(line) for line in calls.read_text().splitlines()]
    gaps = [after[0] - before[1] for before, after in itertools.pairwise(rest)]
    busy = sum(end - begin for begin, end, _ in rest)
    share = busy / (rest[-1][1] - rest[0][0])
    print(f"busy {share:.1%}, gaps {statistics.median(gaps):.3f} s, {max(gaps):.3f} s", flush=True)
    return share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--utterances", type=int, default=2000)
    parser.add_argument("--rows-per-shard", type=int, default=100)
    parser.add_argument("--shards-per-call", type=int, default=1)
    parser.add_argument("--utterance-ms", type=float, default=20.0)
    parser.add_argument("--beams", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--root", type=Path, default=TESTS.parent, help="checkout that runs")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = environment_in(folder, given.root)
        sizes = [str(given.utterances), str(given.rows_per_shard)]
        subprocess.run(
            [sys.executable, "-c", WRITE, *sizes, str(folder / "shards")],
            env=environment,
            check=True,
        )
        shares = [run(folder, number, environment, given) for number in range(given.repeats)]
    print(f"median {statistics.median(shares):.1%}")


if __name__ == "__main__":
    main()
