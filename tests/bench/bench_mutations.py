"""Damaged inputs: python tests/bench/bench_mutations.py [--inputs 10000] [--seed 0].

Every kind of ``tests/mutated_inputs.py`` is read in a process of its own, which is started again
where an input ends it. Prints a row for each kind: how many inputs were read whole, in part or
refused by name; how many were neither (an exception that is none of raypipe's, a refusal that names
no file) or ended the process, with their seeds; the slowest input, and the largest memory of the
process and of those that it has started.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from mutated_inputs import KINDS, MutationHost

from raypipe.errors import CallError, ProcessEndedError
from raypipe.isolation.child_process import ChildProcess

LIMIT_S = 60.0
AT_ONCE = 20
HEAD = ("kind", "inputs", "whole", "in part", "refused", "faults", "died", "slowest", "peak memory")


@dataclass
class KindTally:
    """What became of the inputs of a kind."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    peak_mb: float = 0.0

    def add(self, seed: int, outcome: str, seconds: float) -> None:
        """Count one."""
        is_fault = outcome.startswith(("fault", "died"))
        self.outcomes[outcome.partition(":")[0]] += 1
        self.slowest_s = max(self.slowest_s, seconds)
        if is_fault:
            self.faults.append(f"seed {seed}: {outcome}")


def tallied(kind: str, seeds: range) -> KindTally:
    """Read the inputs of a kind with these seeds."""
    tally = KindTally()
    host: ChildProcess | None = None
    waiting = [list(seeds[at : at + AT_ONCE]) for at in range(0, len(seeds), AT_ONCE)]
    while waiting:
        part = waiting.pop(0)
        if host is None:
            host = ChildProcess(partial(MutationHost, kind), memory_gb=1.0)
        try:
            results = host.call("outcomes", part, limit_s=LIMIT_S * len(part))
            tally.peak_mb = max(tally.peak_mb, host.call("peak_mb"))
        except ProcessEndedError as error:
            host = None
            if len(part) == 1:
                tally.add(part[0], f"died: {error}", 0.0)
            else:
                waiting[:0] = [[seed] for seed in part]
        except CallError as error:
            tally.add(part[0], f"fault: {error}", 0.0)
        else:
            for seed, (outcome, seconds) in zip(part, results, strict=True):
                tally.add(seed, outcome, seconds)
    if host is not None:
        host.end()
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first input of every kind")
    parser.add_argument("--kind", nargs="*", choices=KINDS, default=[*KINDS])
    arguments = parser.parse_args()
    count = -(-arguments.inputs // len(arguments.kind))
    print(f"| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}")
    total: Counter[str] = Counter()
    faults: list[str] = []
    for kind in arguments.kind:
        tally = tallied(kind, range(arguments.seed, arguments.seed + count))
        counts = [tally.outcomes[name] for name in ("whole", "in part", "refused", "fault", "died")]
        cells = [kind, count, *counts, f"{tally.slowest_s:.2f} s", f"{tally.peak_mb:.0f} MB"]
        print(f"| {' | '.join(map(str, cells))} |", flush=True)
        total.update(tally.outcomes)
        faults += [f"{kind}, {fault}" for fault in tally.faults]
    print(f"{total.total()} inputs: {dict(total)}")
    print(*faults, sep="\n")


if __name__ == "__main__":
    main()
