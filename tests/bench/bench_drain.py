"""How many decode steps are lost at the ends of calls, counted by the engine's own scheduling.

    python tests/bench/bench_drain.py --rows 64 --rows-per-shard 200

No model: answers have made-up lengths (around 40 tokens, and 3 % that never end, of 96), and what
the decoder does with rows (filling, stepping, looking, handing over) is counted in steps. All
utterances are answered in calls of so many shards, and in a single one.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from counted_rows import answer_lengths, steps_in_calls, steps_of

from raypipe.runtime.infer.spans import FILLINGS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--utterances", type=int, default=10_400)
    parser.add_argument("--rows-per-shard", type=int, default=200)
    parser.add_argument("--rows", type=int, default=64)
    given = parser.parse_args()
    lengths = answer_lengths(given.utterances)
    endless = steps_of(lengths, given.rows)
    print(f"one call: {endless} steps")
    chosen = math.ceil(FILLINGS * given.rows / given.rows_per_shard)
    for shards in sorted({1, 2, 4, 8, chosen}):
        steps = steps_in_calls(lengths, given.rows, shards * given.rows_per_shard)
        auto = " (auto)" if shards == chosen else ""
        print(f"calls of {shards} shards{auto}: {steps} steps, {steps / endless - 1:+.1%}")


if __name__ == "__main__":
    main()
