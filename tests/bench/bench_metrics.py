"""CPU and memory of the metrics, by size, and whether any cut of the corpus gives the same bits.

    python tests/bench/bench_metrics.py --utterances 1000000

Tables of ``predictions/`` of 512 utterances and six strategies are made up one after the other, as
shards are read; each is reduced with 1,000 replicates and merged into what there was. At every
doubling it prints CPU seconds and the largest memory so far. Then a part is cut into 1, 7 and 64
blocks, in another order each, and the rows are compared bit by bit.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import pyarrow as pa

from raypipe.labels import LabelSet
from raypipe.metrics.reduce import CorpusSummary, MetricState

LABELS = LabelSet(("anger", "disgust", "fear", "happiness", "neutral", "sadness"))
K = len(LABELS)
STRATEGIES = ("greedy", "token", "token_softmax", "bon", "w_bon", "pool")
SHARD = 512


def made_up(shard: int, utterances: int = SHARD) -> pa.Table:
    """One object of ``predictions/``, of the columns that the metrics read."""
    rng = np.random.default_rng(shard)
    votes = rng.multinomial(9, rng.dirichlet(np.ones(K), utterances))
    top = votes.max(axis=1)
    agreed = (votes == top[:, None]).sum(axis=1) == 1
    names = np.array(LABELS.names)
    plurality = np.where(agreed, names[votes.argmax(axis=1)], None)
    given = [names[row > 0].tolist() for row in votes]
    copies = len(STRATEGIES)

    def repeated(values: list[object]) -> list[object]:
        return [value for value in values for _ in range(copies)]

    truth = (votes / 9).tolist()
    probs = rng.dirichlet(np.ones(K), utterances * copies)
    invalid = rng.random(utterances * copies) < 0.01
    columns = {
        "utterance_id": repeated([f"{shard}-{row}" for row in range(utterances)]),
        "split": repeated(["test"] * utterances),
        "speaker": repeated([f"s{number}" for number in rng.integers(0, 1500, utterances)]),
        "model": ["m"] * utterances * copies,
        "prompt": ["p"] * utterances * copies,
        "strategy": [*STRATEGIES] * utterances,
        "probs": [None if bad else row for bad, row in zip(invalid, probs.tolist(), strict=True)],
        "soft_label": repeated(truth),
        "plurality": repeated(plurality.tolist()),
        "n_votes": [9] * utterances * copies,
        "votes_primary": repeated(given),
    }
    return pa.table(columns)


def memory_mib() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print CPU seconds and memory by size, then whether cuts agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--utterances", type=int, default=65_536)
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--cut", type=int, default=64, help="shards that are cut in three ways")
    arguments = parser.parse_args()
    shards = -(-arguments.utterances // SHARD)
    print("| utterances | predictions | CPU s, summary | CPU s, metrics | largest memory, MiB |")
    print("| --- | --- | --- | --- | --- |")
    spent = [0.0, 0.0, 0.0]
    summaries: list[CorpusSummary] = []
    for shard in range(shards):
        started = time.process_time()
        table = made_up(shard)
        spent[2] += time.process_time() - started
        started = time.process_time()
        summaries.append(CorpusSummary.from_table(table, LABELS))
        spent[0] += time.process_time() - started
    started = time.process_time()
    frame = CorpusSummary.merge_all(summaries).frame
    spent[0] += time.process_time() - started
    del summaries
    state: MetricState | None = None
    for shard in range(shards):
        table = made_up(shard)
        started = time.process_time()
        part = MetricState.from_table(table, frame, LABELS, replicates=arguments.replicates)
        state = part if state is None else state.merge(part)
        spent[1] += time.process_time() - started
        done = shard + 1
        if (done & (done - 1) == 0 and done >= 16) or done == shards:
            cells = (
                f"{done * SHARD:,}",
                f"{done * SHARD * len(STRATEGIES):,}",
                f"{spent[0] * done / shards:.1f}",
                f"{spent[1]:.1f}",
                f"{memory_mib():.0f}",
            )
            print(f"| {' | '.join(cells)} |", flush=True)
    assert state is not None
    started = time.process_time()
    rows = state.finish()
    print(f"{len(rows):,} rows of metrics in {time.process_time() - started:.1f} CPU s")
    cut = range(min(arguments.cut, shards))
    whole = None
    for blocks in (1, 7, 64):
        rng = np.random.default_rng(blocks)
        parts = [part for part in np.array_split(rng.permutation(len(cut)), blocks) if part.size]
        states = []
        for part in parts:
            tables = pa.concat_tables([made_up(int(shard)) for shard in part])
            states.append(
                MetricState.from_table(tables, frame, LABELS, replicates=arguments.replicates)
            )
        joined = states.pop()
        while states:
            joined = joined.merge(states.pop())
        finished = joined.finish()
        if whole is not None and finished != whole:
            raise SystemExit(f"{blocks} blocks give other rows")
        whole = finished
        print(f"{blocks} blocks: {len(finished):,} rows, the same bits")


if __name__ == "__main__":
    main()
