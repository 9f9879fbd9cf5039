"""How much faster the tree decoder is than transformers' generate() at equal outputs.

    python tests/bench/bench_engine.py --workloads short mixed --beams 1 3 5 7 --out engine.json
    python tests/bench/bench_engine.py --workloads short --copies 8 --batch-size 4 --beams 5
    python tests/bench/bench_engine.py --workloads short --copies 4 --beams 5 --clip after
    python tests/bench/bench_engine.py --device cuda --dtype bfloat16 --shape 7b --copies 8  # GPU

Both run in one process, alternating, on the same random Qwen2-Audio-shaped model and the same
features; the table holds medians. Times are CPU seconds on a CPU (with one thread that
is the work done, whatever the neighbours do) and wall seconds on a GPU. ``generate`` is what a
user calls; ``generate+`` is the same handed a cache that was prefilled once and then repeated for
the beams, the best that can be had without another search. Both are asked for scores and logits,
as the strategies need them. The roofline line counts what the work needs at least (real frames,
real tokens, weights once per step) against what this machine was measured to reach.

Where float32 is compared, cuDNN's convolutions are float32 for both.
"""

from __future__ import annotations

import argparse
import inspect
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from unittest.mock import patch

import torch
import transformers
from transformers import Qwen2AudioForConditionalGeneration, Qwen2AudioProcessor

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "engines"))

from random_checkpoint import Shape, save_checkpoint, sounds
from roofline import Machine, Work, measure_machine
from roofline import Shape as RooflineShape
from searching import split_search

from raypipe.engines.agreement import SCORE_RELATIVE_TOLERANCE, SCORE_TOLERANCE
from raypipe.engines.transformers import TransformersEngine, TransformersFrontend
from raypipe.engines.tree_decoder import _Slots
from raypipe.labels import label_set
from raypipe.records import Generation, ModelInput, Request

PROMPT = (
    "You hear one utterance of a conversation. Listen to tone, intonation, pauses and energy, and "
    "then to the words. Give the likelihood of each of these emotions as a JSON object whose "
    "values sum to 1: anger, disgust, fear, happiness, neutral, sadness. Answer with the object."
)
SHAPES = {
    "mid": Shape(
        hidden=512,
        layers=6,
        heads=8,
        key_heads=8,
        audio_width=384,
        audio_layers=6,
        unwritable_tokens=31_000,
    ),
    "7b": Shape(
        hidden=4096,
        layers=32,
        heads=32,
        key_heads=32,
        audio_width=1280,
        audio_layers=32,
        unwritable_tokens=155_000,
    ),
}
WORKLOADS = {"short": [3.2, 3.7, 4.1, 4.6], "mixed": [5.0, 9.0, 16.0, 28.0]}
STAGES = ("audio", "prefill", "decode")
Outputs = list[list[tuple[tuple[int, ...], float]]]


@dataclass
class Clock:
    """Seconds per stage; stages may lie inside each other, the inner one is taken out."""

    now: Callable[[], float]
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))

    @contextmanager
    def stage(self, name: str, inside: str | None = None):
        start = self.now()
        yield
        spent = self.now() - start
        self.seconds[name] += spent
        if inside is not None:
            self.seconds[inside] -= spent


class Generate:
    """transformers' generate() on one left-padded batch."""

    def __init__(
        self,
        checkpoint: Path,
        device: str,
        dtype: str,
        limit: int,
        now: Callable[[], float],
        clip: str,
    ) -> None:
        kind = Qwen2AudioForConditionalGeneration
        self.model = kind.from_pretrained(checkpoint, dtype=getattr(torch, dtype))
        self.model = self.model.eval().to(device)
        self.processor = Qwen2AudioProcessor.from_pretrained(checkpoint)
        self.checkpoint, self.limit, self.clip = checkpoint, limit, clip
        self.clock = Clock(now)
        tower = self.model.model.audio_tower
        self._time(tower, "forward", "audio", lambda kwargs: True, inside="prefill")
        is_prompt = lambda kwargs: kwargs["input_ids"].shape[1] > 1  # noqa: E731
        self._time(self.model, "forward", "prefill", is_prompt, inside="decode")

    def _time(self, module, method, name, applies, inside) -> None:
        original = getattr(module, method)

        def timed(*args, **kwargs):
            if not applies(kwargs):
                return original(*args, **kwargs)
            with self.clock.stage(name, inside):
                return original(*args, **kwargs)

        # generate() looks at the arguments that forward takes.
        timed.__signature__ = inspect.signature(original)
        setattr(module, method, timed)

    def inputs(self, requests: Sequence[Request]) -> dict[str, torch.Tensor]:
        content = [{"type": "audio"}, {"type": "text", "text": PROMPT}]
        if self.clip == "after":
            content.reverse()
        turn = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        made = self.processor(
            text=[turn] * len(requests),
            audio=[request.samples for request in requests],
            sampling_rate=16000,
            padding=True,
            return_tensors="pt",
        )
        return made.to(self.model.device)

    def run(self, inputs, beam_count: int, *, prefilled: bool = False) -> Outputs:
        search = {"do_sample": False, "max_new_tokens": self.limit, "output_logits": True}
        if beam_count > 1:
            search |= {"num_beams": beam_count, "num_return_sequences": beam_count}
            search |= {"length_penalty": 0.0, "early_stopping": False}
        with torch.inference_mode(), self.clock.stage("decode"):
            if prefilled:
                inputs = self._prefilled(inputs, beam_count)
            out = self.model.generate(
                **inputs, **search, output_scores=True, return_dict_in_generate=True
            )
        return self._outputs(out, inputs["input_ids"].shape[1], beam_count)

    @cached_property
    def _exact(self) -> Qwen2AudioForConditionalGeneration:
        kind = Qwen2AudioForConditionalGeneration
        return kind.from_pretrained(self.checkpoint, dtype=torch.float64).eval()

    def exact_score(self, request: Request, token_ids: Sequence[int]) -> float:
        """Log-likelihood of an answer in double precision: which of two roundings is off?"""
        inputs = self.inputs([request]).to("cpu")
        answer = torch.tensor([token_ids])
        inputs["input_ids"] = torch.cat([inputs["input_ids"], answer], dim=1)
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        with torch.inference_mode():
            logits = self._exact(**inputs).logits[0, -len(token_ids) - 1 : -1]
        laws = logits.log_softmax(-1)
        return float(laws.gather(1, answer.T).sum())

    def _prefilled(self, inputs, beam_count: int):
        positions = (inputs["attention_mask"].cumsum(-1) - 1).clamp(min=0)
        cache = self.model(**inputs, position_ids=positions, use_cache=True).past_key_values
        cache.crop(-1)
        cache.batch_repeat_interleave(beam_count)
        kept = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        return kept | {"past_key_values": cache}

    def _outputs(self, out, prompt_width: int, beam_count: int) -> Outputs:
        ends = set(self.model.generation_config.eos_token_id)
        answers = []
        for index, sequence in enumerate(out.sequences[:, prompt_width:].tolist()):
            steps = next((i + 1 for i, t in enumerate(sequence) if t in ends), len(sequence))
            token_ids = tuple(sequence[:steps])
            if beam_count > 1:
                steps = int((out.beam_indices[index] >= 0).sum())
                answers.append((tuple(sequence[:steps]), float(out.sequences_scores[index])))
                continue
            laws = [logits[index].log_softmax(-1) for logits in out.logits[:steps]]
            logprobs = (float(law[token]) for law, token in zip(laws, token_ids, strict=True))
            answers.append((token_ids, sum(logprobs)))
        return [answers[i : i + beam_count] for i in range(0, len(answers), beam_count)]


class Tree:
    """raypipe's engine."""

    def __init__(self, now: Callable[[], float], checkpoint: Path, **settings) -> None:
        self.search, own = split_search(settings)
        self.engine = TransformersEngine(str(checkpoint), **own)
        self.clock = Clock(now)
        self.calls = dict.fromkeys(STAGES, 0)
        model = self.engine._model
        for method, stage in (("encode", "audio"), ("prefill", "prefill")):
            setattr(model, method, self._timed(getattr(model, method), stage))

    def _timed(self, method, stage):
        def timed(*arguments):
            self.calls[stage] += 1
            with self.clock.stage(stage, inside="decode"):
                return method(*arguments)

        return timed

    def run(self, inputs: Sequence[ModelInput]) -> list[Generation]:
        self.calls = dict.fromkeys(STAGES, 0)
        step = _Slots.step

        # Not the model's: a captured step is replayed without a call of it.
        def counted_step(*arguments):
            self.calls["decode"] += 1
            return step(*arguments)

        with patch.object(_Slots, "step", counted_step), self.clock.stage("decode"):
            return self.engine.generate(inputs, self.search)


def measure(runs: dict[str, tuple[Clock, Callable[[], object]]], repeats: int) -> dict:
    """Medians over alternating runs, in seconds: the total and each stage."""
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, (clock, run) in runs.items():
            before = dict(clock.seconds)
            run()
            spent = {stage: clock.seconds[stage] - before[stage] for stage in STAGES}
            taken[name].append(spent | {"total": sum(spent.values())})
    return {
        name: {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        | {"spread": [f(one["total"] for one in rounds) for f in (min, max)]}
        for name, rounds in taken.items()
    }


def as_outputs(generations: Sequence[Generation], kind: str) -> Outputs:
    return [
        [(h.token_ids, h.alpha) for h in generation.hypotheses if h.kind == kind]
        for generation in generations
    ]


def compare(mine: Outputs, theirs: Outputs) -> dict[str, float]:
    """Share of utterances with the same sequences in the same order; how far scores differ."""
    same = [
        [token_ids for token_ids, _ in one] == [token_ids for token_ids, _ in other]
        for one, other in zip(mine, theirs, strict=True)
    ]
    pairs = [
        (score, other_score)
        for one, other, equal in zip(mine, theirs, same, strict=True)
        if equal
        for (_, score), (_, other_score) in zip(one, other, strict=True)
    ]
    differences = [abs(score - other_score) for score, other_score in pairs]
    return {
        "same": sum(same) / len(same),
        "score_difference": max(differences, default=0.0),
        "score_excess": max(
            (abs(a - b) - SCORE_TOLERANCE - SCORE_RELATIVE_TOLERANCE * abs(b) for a, b in pairs),
            default=0.0,
        ),
    }


def off_by(
    mine: Outputs, theirs: Outputs, generate: Generate, requests: Sequence[Request]
) -> dict[str, float]:
    """How far the scores of either are from double precision, at most."""
    exact: dict[tuple[int, tuple[int, ...]], float] = {}
    found = {"tree": 0.0, "generate": 0.0}
    for name, outputs in (("tree", mine), ("generate", theirs)):
        for number, (request, answers) in enumerate(zip(requests, outputs, strict=True)):
            for token_ids, score in answers:
                asked = number, token_ids
                if asked not in exact:
                    exact[asked] = generate.exact_score(request, token_ids)
                found[name] = max(found[name], abs(score - exact[asked]))
    return found


def bench_beams(
    beam_count: int,
    generate: Generate,
    tree,
    requests,
    inputs,
    features,
    machine: Machine,
    repeats: int,
) -> dict:
    """One row per way of decoding at this number of beams."""
    greedy_only = beam_count == 1
    ours = tree(0, True) if greedy_only else tree(beam_count, False)
    ours.run(features[:1])
    kind = "greedy" if greedy_only else "beam"
    expected = generate.run(inputs, beam_count)
    answers = ours.run(features)
    agreement = compare(as_outputs(answers, kind), expected)
    if generate.model.dtype == torch.float32:
        agreement["off_by"] = off_by(as_outputs(answers, kind), expected, generate, requests)
    shape, calls = RooflineShape(generate.model), dict(ours.calls)
    work = {
        "audio": shape.audio(features, calls["audio"]),
        "prefill": shape.prefill(features, calls["prefill"]),
        "decode": shape.decode(features, answers, calls["decode"]),
    }
    runs = {
        "generate": (generate.clock, lambda: generate.run(inputs, beam_count)),
        "tree": (ours.clock, lambda: ours.run(features)),
    }
    if not greedy_only:
        runs["generate+"] = (
            generate.clock,
            lambda: generate.run(inputs, beam_count, prefilled=True),
        )
        both = tree(beam_count, True)
        both.run(features[:1])
        runs["tree, greedy too"] = (both.clock, lambda: both.run(features))
    seconds = measure(runs, repeats)
    return {
        "beams": beam_count,
        "agreement": agreement,
        "seconds": seconds,
        "calls": calls,
        "roofline": roofline(work, machine, seconds["tree"]),
    }


def roofline(work: dict[str, Work], machine: Machine, seconds: dict[str, float]) -> dict:
    """Per stage and in total: GFLOP, GB, the least seconds, and the share of it reached."""
    lines = {
        stage: {
            "gflop": one.flops / 1e9,
            "gb": one.bytes / 1e9,
            "least_s": one.seconds(machine),
            "reached": one.seconds(machine) / seconds[stage] if seconds[stage] else None,
        }
        for stage, one in work.items()
    }
    least = sum(one["least_s"] for one in lines.values())
    lines["total"] = {
        "gflop": sum(one["gflop"] for one in lines.values()),
        "gb": sum(one["gb"] for one in lines.values()),
        "least_s": least,
        "reached": least / seconds["total"],
    }
    return lines


def bench_prompts(tree, frontend, requests, repeats: int) -> dict[str, float]:
    """Three prompts about every clip: in one call, which encodes it once, and in three calls."""
    prompts = [PROMPT, "Which emotion is it? One word.", PROMPT + " Listen step by step first."]
    asked = [frontend.prepare([replace(one, prompt=text) for one in requests]) for text in prompts]
    ours = tree(5, True)
    together = [one for inputs in asked for one in inputs]
    taken = measure(
        {
            "one call": (ours.clock, lambda: ours.run(together)),
            "three calls": (ours.clock, lambda: [ours.run(inputs) for inputs in asked]),
        },
        repeats,
    )
    return {
        "one_call": taken["one call"],
        "three_calls": taken["three calls"],
        "ratio": taken["three calls"]["total"] / taken["one call"]["total"],
    }


def table(rows: Sequence[dict], utterances: int) -> str:
    columns = f"{'utt/s':>7} {'ratio':>6} {'audio':>7} {'prefill':>8} {'decode':>7}"
    lines = [f"{'B':>2} {'':17} {columns}"]
    for row in rows:
        baseline = row["seconds"]["generate"]["total"]
        for name, seconds in row["seconds"].items():
            ratio, rate = baseline / seconds["total"], utterances / seconds["total"]
            stages = [seconds[stage] for stage in STAGES]
            lines.append(
                f"{row['beams']:2d} {name:17} {rate:7.3f} {ratio:5.1f}x "
                f"{stages[0]:7.2f} {stages[1]:8.2f} {stages[2]:7.2f}"
            )
        agreement = row["agreement"]
        lines.append(
            f"   same hypotheses in the same order: {agreement['same']:.0%}, "
            f"scores within {agreement['score_difference']:.1e}, "
            f"{'beyond' if agreement['score_excess'] > 0 else 'inside'} 1e-4 + 2e-6 |score|"
        )
        if "off_by" in agreement:
            parts = (f"{name} {error:.1e}" for name, error in agreement["off_by"].items())
            lines.append(f"   scores off from float64 by at most: {', '.join(parts)}")
        least = row["roofline"]
        parts = (f"{name} {least[name]['reached']:.0%}" for name in (*STAGES, "total"))
        lines.append(
            f"   roofline of tree: {least['total']['gflop']:.0f} GFLOP, {least['total']['gb']:.1f} "
            f"GB, at least {least['total']['least_s']:.2f} s; reached: {', '.join(parts)}"
        )
    return "\n".join(lines)


def four_passes(rows: Sequence[dict]) -> dict[str, float] | None:
    """Greedy, token-level, best-of-N and weighted best-of-N: four runs, or one pass."""
    by_beams = {row["beams"]: row["seconds"] for row in rows}
    if not {1, 5} <= set(by_beams):
        return None
    four = 2 * by_beams[1]["generate"]["total"] + 2 * by_beams[5]["generate"]["total"]
    one = by_beams[5]["tree, greedy too"]["total"]
    return {"four_passes_s": four, "one_pass_s": one, "ratio": four / one}


def bench_features(frontend, generate: Generate, requests, now, repeats: int) -> dict[str, float]:
    """Seconds to make the model inputs of all requests, on the CPU."""
    timed: dict[str, list[float]] = {"processor": [], "frontend": []}
    ways = {"processor": generate.inputs, "frontend": frontend.prepare}
    for _ in range(max(repeats, 3)):
        for name, make in ways.items():
            start = now()
            make(requests)
            timed[name].append(now() - start)
    return {name: statistics.median(seconds) for name, seconds in timed.items()}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 3, 5, 7])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--copies", type=int, default=1, help="times the workload's clips")
    parser.add_argument("--batch-size", type=int, help="of the tree; default: all together")
    parser.add_argument("--max-new-tokens", type=int, default=32)
    parser.add_argument("--shape", choices=SHAPES, default="mid")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-fused", action="store_true", help="the model's own layers on a GPU")
    parser.add_argument("--clip", choices=["before", "after"], default="before", help="of the text")
    parser.add_argument("--prompts", action="store_true", help="also three prompts per clip")
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    return parser.parse_args()


def bench_workload(name: str, checkpoint: Path, generate: Generate, machine, asked, now) -> dict:
    durations = WORKLOADS[name] * asked.copies
    requests = [
        Request(str(i), PROMPT, clip, clip=asked.clip)
        for i, clip in enumerate(sounds(durations, seed=21))
    ]
    frontend = TransformersFrontend(str(checkpoint))
    tokens = frontend.emotion_tokens(label_set("crema-d-6"))

    def tree(beam_count: int, greedy: bool) -> Tree:
        return Tree(
            now,
            checkpoint,
            emotion_tokens=tokens,
            beam_count=beam_count,
            greedy=greedy,
            max_new_tokens=asked.max_new_tokens,
            batch_size=asked.batch_size or len(requests),
            device=asked.device,
            dtype=asked.dtype,
            fused=False if asked.no_fused else None,
        )

    inputs, features = generate.inputs(requests), frontend.prepare(requests)
    inputs["input_features"] = inputs["input_features"].to(generate.model.dtype)
    rows = []
    print(f"{name}: {len(requests)} clips of {min(durations)} to {max(durations)} s")
    for beam_count in asked.beams:
        rows.append(
            bench_beams(
                beam_count, generate, tree, requests, inputs, features, machine, asked.repeats
            )
        )
        print(table(rows[-1:], len(requests)), flush=True)
    figures = {
        "utterances": len(requests),
        "prompt_tokens": [len(one.token_ids) for one in features],
        "features_s": bench_features(frontend, generate, requests, now, asked.repeats),
        "rows": rows,
        "four_passes": four_passes(rows),
        "prompts": bench_prompts(tree, frontend, requests, asked.repeats)
        if asked.prompts
        else None,
    }
    for one in ("features_s", "four_passes", "prompts"):
        print(f"{one}: {figures[one]}", flush=True)
    return figures


def main() -> None:
    asked = arguments()
    torch.set_num_threads(asked.threads)
    transformers.utils.logging.disable_progress_bar()
    torch.backends.cudnn.allow_tf32 = asked.dtype != "float32"
    now = time.process_time if asked.device == "cpu" else synchronised_wall_clock
    machine = measure_machine(asked.device, getattr(torch, asked.dtype), now)
    print(f"measured: {machine.flops / 1e9:.0f} GFLOP/s, {machine.bandwidth / 1e9:.1f} GB/s")
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder)
        save_checkpoint(checkpoint, SHAPES[asked.shape])
        generate = Generate(
            checkpoint, asked.device, asked.dtype, asked.max_new_tokens, now, asked.clip
        )
        figures = {
            "settings": {key: str(value) for key, value in vars(asked).items()},
            "clock": "cpu" if asked.device == "cpu" else "wall",
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "machine": {"gflops": machine.flops / 1e9, "gb_per_s": machine.bandwidth / 1e9},
            "workloads": {
                name: bench_workload(name, checkpoint, generate, machine, asked, now)
                for name in asked.workloads
            },
        }
    if asked.out is not None:
        asked.out.write_text(json.dumps(figures, indent=1))


def synchronised_wall_clock() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    main()
