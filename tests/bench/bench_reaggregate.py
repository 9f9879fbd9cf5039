"""What it costs to read a run's hypotheses again, and how that grows with the run.

    python tests/bench/bench_reaggregate.py --utterances 7442 14884 29768 --out reaggregate.json

Runs with made-up hypotheses (greedy and five beams of about 60 steps with logits) are read through
``raypipe reaggregate`` on a local Ray. CPU seconds are those of the whole process tree while the
work is done, Ray's own processes and the start of its workers included: on a busy machine they say
more than wall seconds. ``peak_mib`` is the most memory of its own that any one Ray worker took.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).parent))

from made_up_run import make_run

from raypipe.runtime.ray.session import ray_session
from raypipe.runtime.reaggregate.job import reaggregate
from raypipe.runtime.reaggregate.plan import Changes

SETTINGS = {
    "unchanged": Changes(),
    "without token strategies": Changes.of(strategies=("greedy", "bon", "w_bon")),
    "sweep": Changes.of(tau=(0.5, 1.0, 2.0), sub_beams=(2, 3, 4, 5)),
    "thresholds": Changes.of(
        strategies=("greedy", "token", "token_softmax", "bon", "w_bon", "adaptive"),
        threshold=(0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0),
    ),
}
_TICKS = os.sysconf("SC_CLK_TCK")


class Meter:
    """CPU seconds of everything below this process, and the largest Ray worker."""

    def __init__(self) -> None:
        self.cpu_s: dict[int, float] = {}
        self.peak_mib = 0.0

    def read(self) -> None:
        """Take the present state; a process that is gone keeps its last figure."""
        for process, (parent, cpu_s, own_mib) in _processes().items():
            if parent in self.cpu_s or process == os.getpid():
                self.cpu_s[process] = cpu_s
                self.peak_mib = max(self.peak_mib, own_mib)

    @property
    def total_s(self) -> float:
        """CPU seconds so far."""
        return sum(self.cpu_s.values())


def _processes() -> dict[int, tuple[int, float, float]]:
    """Parent, CPU seconds and, of Ray workers, MiB of memory that is not shared."""
    found = {}
    for folder in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        try:
            name, _, rest = (folder / "stat").read_text().rpartition(")")
            status = dict(
                line.split(":", 1) for line in (folder / "status").read_text().splitlines()
            )
        except OSError:
            continue  # it ended meanwhile
        fields = rest.split()
        cpu_s = (int(fields[11]) + int(fields[12])) / _TICKS
        own_mib = int(status.get("RssAnon", "0 kB").split()[0]) / 1024 if "(ray::" in name else 0.0
        found[int(folder.name)] = (int(fields[1]), cpu_s, own_mib)
    return found


@contextmanager
def metered(interval_s: float = 0.5) -> Iterator[Meter]:
    """Measure while the block runs."""
    meter, stop = Meter(), threading.Event()
    meter.read()

    def watch() -> None:
        while not stop.wait(interval_s):
            meter.read()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield meter
    finally:
        stop.set()
        thread.join()
        meter.read()


def measure(run: Path, output: Path, changes: Changes) -> dict[str, float]:
    """One reaggregation into an empty output."""
    quiet = Console(file=io.StringIO())
    with metered() as meter:
        before, started = meter.total_s, time.monotonic()
        reaggregate(str(run), changes, output=str(output), console=quiet)
        wall_s = time.monotonic() - started
    return {
        "cpu_s": round(meter.total_s - before, 1),
        "wall_s": round(wall_s, 1),
        "peak_mib": round(meter.peak_mib),
    }


def main() -> None:
    """Make the runs, read them again, print a row each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--utterances", type=int, nargs="+", default=[7442, 14884, 29768])
    parser.add_argument("--settings", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--rows-per-shard", type=int, default=200)
    parser.add_argument("--folder", type=Path, help="where made-up runs are kept; default: nowhere")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch, ray_session():
        for count in arguments.utterances:
            run = (arguments.folder or Path(scratch)) / f"made-up-{count}"
            if not (run / "run.json").exists():
                make_run(run, count, rows_per_shard=arguments.rows_per_shard)
            for name in arguments.settings:
                output = Path(scratch) / "out"
                figures = measure(run, output, SETTINGS[name])
                shutil.rmtree(output)
                rows.append({"utterances": count, "settings": name, **figures})
                print(json.dumps(rows[-1]), flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
