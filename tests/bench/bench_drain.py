"""How many decode steps are lost at the ends of calls, counted by the engine's own scheduling.

    python tests/bench/bench_drain.py --rows 64 --rows-per-shard 200

No model: answers have made-up lengths (around 40 tokens, and 3 % that never end, of 96), and what
the decoder does with rows (filling, stepping, looking, handing over) is counted in steps. For every
size of a corpus, all utterances are answered in calls of so many shards as a run chooses, and in a
single one.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from counted_rows import answer_lengths, steps_in_calls, steps_of

from raypipe.runtime.infer.spans import chosen_shards


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--utterances", type=int, nargs="+", default=[6_400, 25_600, 83_200])
    parser.add_argument("--rows-per-shard", type=int, default=200)
    parser.add_argument("--clip-s", type=float, default=4.0)
    parser.add_argument("--rows", type=int, default=64)
    given = parser.parse_args()
    for count in given.utterances:
        lengths = answer_lengths(count)
        endless = steps_of(lengths, given.rows)
        shards = math.ceil(count / given.rows_per_shard)
        chosen = chosen_shards(shards, count, count * given.clip_s, given.rows)
        print(f"{count} utterances, one call: {endless} steps")
        for size in sorted({1, chosen}):
            steps = steps_in_calls(lengths, given.rows, size * given.rows_per_shard)
            auto = " (auto)" if size == chosen else ""
            print(f"  calls of {size} shards{auto}: {steps} steps, {steps / endless - 1:+.1%}")


if __name__ == "__main__":
    main()
