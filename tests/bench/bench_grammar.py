"""Decode steps of answers held to the distribution grammar, guessed ahead and one by one.

    python tests/bench/bench_grammar.py --clips 48 --batch-size 16
    python tests/bench/bench_grammar.py --device cuda --dtype bfloat16

tiny-alm answers the distribution prompt about clips of its synthetic corpus. Both ways run
alternating; medians. Times are CPU seconds on a CPU and wall seconds on a GPU, ``decode_s`` those
without audio and prompts. ``tokens`` are what the steps feed, padding included.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent))

from bench_engine import synchronised_wall_clock

from raypipe.engines.agreement import compare
from raypipe.engines.transformers import TransformersEngine, TransformersFrontend
from raypipe.engines.tree_decoder import TreeDecoder
from raypipe.grammars import distribution_regex
from raypipe.prompts import render_prompt
from raypipe.records import Request, Search
from raypipe.tiny_alm import checkpoint_path
from raypipe.tiny_alm.corpus import synthetic_clip
from raypipe.tiny_alm.synth import LABEL_SET

LIMIT = 96


class Way:
    """One way of decoding, with its counts."""

    def __init__(self, engine: TransformersEngine, search: Search, ahead: int | None) -> None:
        self.engine, self.search = engine, search
        settings = engine._settings(search)
        named = {} if ahead is None else {"ahead": ahead}
        self.decoder = TreeDecoder(engine._model, settings, prefixes=engine._prefixes, **named)

    def run(self, inputs: Any, now: Callable[[], float]) -> tuple[list, dict[str, float]]:
        self.engine._decoders[self.search] = self.decoder
        model = self.engine._model
        counts = {"steps": 0, "tokens": 0, "before": 0.0}
        step, prefill, encode = model.step, model.prefill, model.encode

        def counted(tokens, *rest):
            counts["steps"] += 1
            counts["tokens"] += tokens.numel()
            return step(tokens, *rest)

        def timed(method):
            def call(*arguments):
                started = now()
                result = method(*arguments)
                counts["before"] += now() - started
                return result

            return call

        model.step, model.prefill, model.encode = counted, timed(prefill), timed(encode)
        try:
            started = now()
            answers = self.engine.generate(inputs, self.search)
            total = now() - started
        finally:
            model.step, model.prefill, model.encode = step, prefill, encode
        return answers, {
            "steps": counts["steps"],
            "tokens": counts["tokens"],
            "total_s": total,
            "decode_s": total - counts["before"],
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", type=int, default=48)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--beams", type=int, nargs="+", default=[0, 3, 5])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    now = time.process_time if asked.device == "cpu" else synchronised_wall_clock
    path = str(checkpoint_path())
    frontend = TransformersFrontend(path)
    engine = TransformersEngine(
        path,
        emotion_tokens=frontend.emotion_tokens(LABEL_SET),
        batch_size=asked.batch_size,
        device=asked.device,
        dtype=asked.dtype,
    )
    prompt = render_prompt("distribution", LABEL_SET)
    clips = [synthetic_clip(number)[0].samples for number in range(asked.clips)]
    inputs = frontend.prepare([Request(str(i), prompt, clip) for i, clip in enumerate(clips)])
    found = {}
    for beams in asked.beams:
        search = Search(beams, True, LIMIT, distribution_regex(LABEL_SET))
        ways = {"one by one": Way(engine, search, 0), "ahead": Way(engine, search, None)}
        answers = {name: way.run(inputs, now)[0] for name, way in ways.items()}
        agreement = compare(*answers.values())
        rows: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
        for _ in range(asked.repeats):
            for name, way in ways.items():
                rows[name].append(way.run(inputs, now)[1])
        medians = {
            name: {key: statistics.median(one[key] for one in runs) for key in runs[0]}
            for name, runs in rows.items()
        }
        found[beams] = medians
        print(f"greedy and {beams} beams; {agreement}")
        for name, row in medians.items():
            print(f"  {name:10}", {key: round(value, 3) for key, value in row.items()}, flush=True)
    if asked.out is not None:
        asked.out.write_text(json.dumps({"asked": {**vars(asked), "out": None}, "beams": found}))


if __name__ == "__main__":
    main()
