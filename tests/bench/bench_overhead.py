"""What protection costs a run that nothing disturbs, in CPU seconds of all its processes.

    python tests/bench/bench_overhead.py --utterances 800 --repeats 3 --against CHECKOUT

The same config, alternating: as it is; with the model in its actor instead of a process of its own
(``resources.isolate: false``); and, with ``--against``, by the code of another checkout. Ratios are
given of the medians and of the least, as other work on the machine only ever adds. Time of
processes that Ray leaves to no parent counts too: each is found by a variable of its environment.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import yaml

ROOT = Path(__file__).parents[2]
# By each checkout's own code: shards of a later version are not read by an earlier one.
WRITE = """
import sys
from raypipe.labels import LABEL_SETS
from raypipe.shards import write_shards
from raypipe.store.location import Location
from raypipe.tiny_alm.corpus import synthetic_utterances

write_shards(
    synthetic_utterances(int(sys.argv[1]), seed=1, split="test"),
    Location.parse(sys.argv[3]),
    LABEL_SETS["crema-d-6"],
    rows_per_shard=int(sys.argv[2]),
    fixed_sentences=True,
    source="bench",
)
"""
MARK = "RAYPIPE_BENCH_RUN"
LOOK_EVERY_S = 0.1


class CpuTime:
    """CPU seconds of every process whose environment holds a mark, as last seen."""

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._seconds: dict[tuple[int, float], float] = {}
        self._others: set[tuple[int, float]] = set()

    def look(self) -> None:
        """See what all processes have used up to now."""
        for process in psutil.process_iter():
            try:
                key = (process.pid, process.create_time())
                if key in self._others:
                    continue
                if key not in self._seconds and process.environ().get(MARK) != self._mark:
                    self._others.add(key)
                    continue
                times = process.cpu_times()
            except psutil.Error:
                continue  # it has ended meanwhile, or is another user's
            self._seconds[key] = times.user + times.system

    @property
    def total(self) -> float:
        return sum(self._seconds.values())


def written_shards(code: Path, utterances: int, rows: int, folder: Path) -> Path:
    """Shards that a checkout's code has written."""
    folder.mkdir()
    command = [sys.executable, "-c", WRITE, str(utterances), str(rows), str(folder / "shards")]
    environment = {**os.environ, "PYTHONPATH": str(code)}
    subprocess.run(command, check=True, cwd=folder, env=environment)
    return folder / "shards"


def measured(code: Path, document: Mapping[str, Any], folder: Path) -> dict[str, float]:
    """CPU and wall seconds of a run by a checkout's code."""
    folder.mkdir(parents=True)
    config = folder / "run.yaml"
    config.write_text(yaml.safe_dump({**document, "output": str(folder / "out")}))
    mark = uuid.uuid4().hex
    environment = {name: text for name, text in os.environ.items() if name != "RAY_ADDRESS"}
    environment |= {MARK: mark, "PYTHONPATH": str(code)}
    cpu, started = CpuTime(mark), time.monotonic()
    with (folder / "said.txt").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "raypipe", "run", str(config)],
            env=environment,
            cwd=folder,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        while process.poll() is None:
            cpu.look()
            time.sleep(LOOK_EVERY_S)
    if process.returncode:
        raise SystemExit((folder / "said.txt").read_text())
    return {"cpu_s": cpu.total, "wall_s": time.monotonic() - started}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--utterances", type=int, default=800)
    parser.add_argument("--rows-per-shard", type=int, default=40)
    parser.add_argument("--beams", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        document = {
            "model": {"path": "tiny-alm"},
            "decoding": {"beam_count": arguments.beams},
        }
        bare = {**document, "resources": {"isolate": False}}
        kinds = {"as it is": (ROOT, document), "isolate: false": (ROOT, bare)}
        if arguments.against is not None:
            kinds["against"] = (arguments.against.resolve(), document)
        codes = {code for code, _ in kinds.values()}
        shards = {
            code: written_shards(
                code, arguments.utterances, arguments.rows_per_shard, folder / f"data-{number}"
            )
            for number, code in enumerate(sorted(codes))
        }
        found: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
        for number in range(arguments.repeats):
            for kind, (code, settings) in kinds.items():
                place = folder / f"{kind.replace(' ', '-')}-{number}"
                asked = {**settings, "input": {"shards": str(shards[code])}}
                found[kind].append(measured(code, asked, place))
                print(number, kind, found[kind][-1], flush=True)
    result: dict[str, Any] = {"all": found, "cpus": os.cpu_count()}
    for name, summary in {"median": statistics.median, "least": min}.items():
        cpu_s = {kind: summary([row["cpu_s"] for row in rows]) for kind, rows in found.items()}
        as_it_is_to = {kind: cpu_s["as it is"] / seconds for kind, seconds in cpu_s.items()}
        result[name] = {"cpu_s": cpu_s, "as_it_is_to": as_it_is_to}
    print(json.dumps(result, indent=2))
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
