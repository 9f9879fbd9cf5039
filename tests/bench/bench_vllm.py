"""How much CPU time the vLLM engine takes, beside three other ways to the same beams.

    python tests/bench/bench_vllm.py --model tiny-alm --beams 1 3 5 --repeats 3 --out vllm.json

``generate`` is transformers' own on one left-padded batch, asked for scores and logits;
``beam_search`` is vLLM's own ``LLM.beam_search``, which records no logits and follows other rules;
``vllm`` and ``tree`` are raypipe's engines. All run in one process, one thread, float32; the table
holds medians of CPU seconds. Every repeat hears other clips, or vLLM would find them in its caches.
Loading is not counted; making features is, for ``beam_search`` only, which has no way around it.
``tiny-alm`` is the bundled model, ``middle`` a random one of 64 million parameters; vLLM's own beam
search wants a model whose window is 30 s.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import transformers
from transformers import Qwen2AudioForConditionalGeneration, Qwen2AudioProcessor

sys.path.insert(0, str(Path(__file__).parents[1] / "engines"))

from bench_engine import SHAPES
from random_checkpoint import save_checkpoint, sounds

from raypipe.engines.engine import EngineSettings, ModelSettings
from raypipe.engines.plugins import load_plugin
from raypipe.engines.transformers import TransformersFrontend
from raypipe.engines.vllm.installation import prepare_environment, require_vllm
from raypipe.labels import label_set
from raypipe.prompts import fill_template, template_source
from raypipe.records import Generation, Request, Search
from raypipe.tiny_alm import checkpoint_path

DURATIONS_S = [3.2, 3.7, 4.1, 4.6]
MIDDLE = SHAPES["mid"]
Sequences = list[list[tuple[int, ...]]]


class Generate:
    """transformers' generate()."""

    def __init__(self, path: str, beam_count: int, limit: int) -> None:
        kind = Qwen2AudioForConditionalGeneration
        self.model = kind.from_pretrained(path, dtype=torch.float32).eval()
        self.processor = Qwen2AudioProcessor.from_pretrained(path)
        self.beam_count, self.limit = beam_count, limit

    def prepare(self, requests: Sequence[Request]):
        turns = [turn(self.processor, request.prompt) for request in requests]
        audio = [request.samples for request in requests]
        return self.processor(
            text=turns, audio=audio, sampling_rate=16000, padding=True, return_tensors="pt"
        )

    def run(self, inputs) -> Sequences:
        search = {"do_sample": False, "max_new_tokens": self.limit, "output_logits": True}
        if self.beam_count > 1:
            search |= {"num_beams": self.beam_count, "num_return_sequences": self.beam_count}
            search |= {"length_penalty": 0.0, "early_stopping": False, "output_scores": True}
        with torch.inference_mode():
            out = self.model.generate(**inputs, **search, return_dict_in_generate=True)
        ends = self.model.generation_config.eos_token_id
        width, answers = inputs["input_ids"].shape[1], []
        for sequence in out.sequences[:, width:].tolist():
            steps = next((i + 1 for i, token in enumerate(sequence) if token in ends), None)
            answers.append(tuple(sequence[:steps]))
        count = self.beam_count
        return [answers[i : i + count] for i in range(0, len(answers), count)]


class Ours:
    """One of raypipe's engines."""

    def __init__(self, name: str, path: str, tokens, beam_count: int, greedy: bool, limit: int):
        self.frontend = TransformersFrontend(path)
        self.search = Search(beam_count, greedy, limit)
        plugin = load_plugin(name)
        model = ModelSettings(path, plugin.options(), None, "float32", "cpu", False)
        settings = EngineSettings(model, tokens, 16, 1, searches=[self.search])
        self.engine = plugin.engine(settings)

    def prepare(self, requests: Sequence[Request]):
        return self.frontend.prepare(requests)

    def run(self, inputs) -> Sequences:
        replies = self.engine.generate(inputs, self.search)
        assert all(isinstance(reply, Generation) for reply in replies)
        return [[one.token_ids for one in reply.hypotheses] for reply in replies]


class VllmBeamSearch:
    """vLLM's own beam search."""

    def __init__(self, path: str, beam_count: int, limit: int) -> None:
        from vllm import LLM
        from vllm.sampling_params import BeamSearchParams

        self.processor = Qwen2AudioProcessor.from_pretrained(path)
        self.llm = LLM(
            model=path,
            dtype="float32",
            enforce_eager=True,
            max_model_len=2048,
            max_num_seqs=128,
            limit_mm_per_prompt={"audio": 1},
            kv_cache_memory_bytes=1 << 30,
            mm_processor_cache_gb=0,
            block_size=32,
            disable_log_stats=True,
        )
        self.params = BeamSearchParams(beam_width=beam_count, max_tokens=limit, length_penalty=0.0)

    def prepare(self, requests: Sequence[Request]):
        return [
            {
                "prompt": turn(self.processor, request.prompt),
                "multi_modal_data": {"audio": (request.samples, 16000)},
            }
            for request in requests
        ]

    def run(self, inputs) -> Sequences:
        return [
            [tuple(one.tokens) for one in output.sequences]
            for output in self.llm.beam_search(inputs, self.params)
        ]


def turn(processor, prompt: str) -> str:
    content = [{"type": "audio"}, {"type": "text", "text": prompt}]
    return processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )


def requests_of(round_number: int, copies: int) -> list[Request]:
    prompt = fill_template(
        template_source("distribution"), label_set("crema-d-6"), fixed_sentences=True
    )
    clips = sounds(DURATIONS_S * copies, seed=100 + round_number)
    return [Request(str(index), prompt, clip) for index, clip in enumerate(clips)]


def cpu_seconds(way, rounds: Sequence[Sequence[Request]]) -> tuple[list[float], list[Sequences]]:
    """Seconds of each round but the first, which warms up, and what was answered."""
    seconds, answers = [], []
    for requests in rounds:
        inputs = way.prepare(requests)
        start = time.process_time()
        answers.append(way.run(inputs))
        seconds.append(time.process_time() - start)
    return seconds[1:], answers


def bench(path: str, beam_count: int, limit: int, rounds: Sequence[Sequence[Request]]) -> dict:
    """Median CPU seconds of every way, and the share of utterances answered as generate() does."""
    tokens = TransformersFrontend(path).emotion_tokens(label_set("crema-d-6"))
    alone = {"beam_count": beam_count, "greedy": False}
    ways: dict[str, Callable[[], object]] = {
        "generate": lambda: Generate(path, beam_count, limit),
        "tree": lambda: Ours("transformers", path, tokens, **alone, limit=limit),
        "vllm": lambda: Ours("vllm", path, tokens, **alone, limit=limit),
        "vllm, greedy too": lambda: Ours("vllm", path, tokens, beam_count, True, limit),
        "beam_search": lambda: VllmBeamSearch(path, beam_count, limit),
    }
    row: dict = {"beams": beam_count, "seconds": {}, "spread": {}, "same_as_generate": {}}
    expected: list[Sequences] = []
    for name, make in ways.items():
        way = make()
        seconds, answers = cpu_seconds(way, rounds)
        if isinstance(way, Ours) and hasattr(way.engine, "close"):
            way.engine.close()
        del way
        row["seconds"][name] = statistics.median(seconds)
        row["spread"][name] = [min(seconds), max(seconds)]
        expected = expected or answers
        if name in ("tree", "vllm"):
            pairs = [
                (one, other)
                for both in zip(answers, expected, strict=True)
                for one, other in zip(*both, strict=True)
            ]
            row["same_as_generate"][name] = sum(one == other for one, other in pairs) / len(pairs)
    return row


def table(row: dict, utterances: int) -> str:
    lines = []
    for name, seconds in row["seconds"].items():
        ratio = row["seconds"]["generate"] / seconds
        same = row["same_as_generate"].get(name)
        lines.append(
            f"{row['beams']:2d} {name:18} {utterances / seconds:7.2f} utt/cpu-s {ratio:6.2f}x"
            + ("" if same is None else f"   same as generate: {same:.0%}")
        )
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="tiny-alm", help="tiny-alm, middle or a folder")
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 3, 5])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--copies", type=int, default=2, help="times the four clips")
    parser.add_argument("--max-new-tokens", type=int, default=32)
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    version = require_vllm()
    prepare_environment()
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    rounds = [requests_of(number, asked.copies) for number in range(asked.repeats + 1)]
    with tempfile.TemporaryDirectory() as folder:
        path = {"tiny-alm": str(checkpoint_path()), "middle": folder}.get(asked.model, asked.model)
        if asked.model == "middle":
            save_checkpoint(Path(folder), MIDDLE)
        rows = []
        for beam_count in asked.beams:
            rows.append(bench(path, beam_count, asked.max_new_tokens, rounds))
            print(table(rows[-1], len(rounds[0])), flush=True)
    figures = {
        "model": asked.model,
        "utterances": len(rounds[0]),
        "durations_s": DURATIONS_S,
        "max_new_tokens": asked.max_new_tokens,
        "threads": 1,
        "vllm": version,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "rows": rows,
    }
    if asked.out is not None:
        asked.out.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
