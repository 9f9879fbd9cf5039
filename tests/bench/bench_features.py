"""Features beside a plain loop over transformers, and heads on means beside heads on frames.

python tests/bench/bench_features.py --clips 48 --out features.json
python tests/bench/bench_features.py --device cuda --shape large --clips 512 --batches 1 8 32 64

Clips per second of CPU time, of wall time on a GPU, medians of alternating runs, outputs compared:
a random checkpoint of the size of WavLM-base (12 layers of 768) or another shape, clips of 1 to
10 s. Heads: seconds of CPU time for an epoch on made-up frames of that shape and on their means.
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
from typing import Any

import numpy as np
import torch
import transformers

sys.path.insert(0, str(Path(__file__).parents[1] / "ssl"))

from frame_level import FrameLevelHead, made_up_frames

from raypipe.records import FloatArray
from raypipe.ssl import Encoder, EncoderSource, load
from raypipe.ssl.batches import batches_by_length
from raypipe.ssl.loss import balanced_cross_entropy, class_weights
from raypipe.ssl.training import Examples, HeadTraining, train_head

RATE = 16_000
SHAPES: dict[str, dict[str, Any]] = {
    "small": {"hidden_size": 192, "num_hidden_layers": 6, "num_attention_heads": 6,
              "intermediate_size": 768},
    "large": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16,
              "intermediate_size": 4096},
    "base": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
             "intermediate_size": 3072},
}  # fmt: skip
NORMS = {
    "group": {"feat_extract_norm": "group", "conv_bias": False},
    "layer": {"feat_extract_norm": "layer", "conv_bias": True, "do_stable_layer_norm": True},
}


def checkpoint(folder: Path, shape: str, norm: str) -> str:
    torch.manual_seed(0)
    config = transformers.HubertConfig(**SHAPES[shape], **NORMS[norm])
    place = folder / f"{shape}-{norm}"
    transformers.HubertModel(config).save_pretrained(place)
    transformers.Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(place)
    return str(place)


def made_up_clips(count: int) -> list[FloatArray]:
    random = np.random.default_rng(0)
    lengths = random.uniform(1, 10, count)
    return [random.normal(0, 0.1, round(RATE * s)).astype(np.float32) for s in lengths]


def plain_loop(
    model: Any, extractor: Any, clips: Sequence[FloatArray], batch_size: int
) -> list[np.ndarray]:
    """What people write: pad to the longest, all hidden states, the mean over a clip's frames."""
    means = []
    for at in range(0, len(clips), batch_size):
        batch = list(clips[at : at + batch_size])
        inputs = extractor(batch, sampling_rate=RATE, padding=True, return_tensors="pt")
        given = {name: value.to(model.device) for name, value in inputs.items()}
        given["input_values"] = given["input_values"].to(model.dtype)
        with torch.no_grad():
            out = model(**given, output_hidden_states=True)
        states = torch.stack([*out.hidden_states[:-1], out.last_hidden_state], 1)
        for row, clip in enumerate(batch):
            frames = int(model._get_feat_extract_output_lengths(len(clip)))
            kept = min(frames, round(len(clip) / 320))
            means.append(states[row, :, :kept].float().mean(1).cpu().numpy())
    return means


def by_raypipe(encoder: Encoder, clips: Sequence[FloatArray], batch_size: int) -> list[np.ndarray]:
    means: list[np.ndarray] = [np.zeros(0)] * len(clips)
    lengths = [len(clip) for clip in clips]
    for rows in batches_by_length(
        lengths, pads=encoder.pads, most_clips=batch_size, most_samples=160 * RATE
    ):
        for row, given in zip(rows, encoder.encode([clips[row] for row in rows]), strict=True):
            means[row] = given.mean
    return means


def cpu_seconds(call: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    started = time.process_time()
    made = call(*arguments)
    return time.process_time() - started, made


def wall_seconds(call: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    started = time.monotonic()
    made = call(*arguments)  # its results are on the CPU
    return time.monotonic() - started, made


def extraction(
    shape: str,
    clip_count: int,
    repeats: int,
    device: str,
    dtype: str,
    batches: Sequence[int],
    norms: Sequence[str],
) -> list[dict[str, object]]:
    clips = made_up_clips(clip_count)
    seconds = cpu_seconds if device == "cpu" else wall_seconds
    unit = "cpu_s" if device == "cpu" else "s"
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        for norm in norms:
            path = checkpoint(Path(folder), shape, norm)
            model = transformers.HubertModel.from_pretrained(path, dtype=getattr(torch, dtype))
            model = model.eval().to(device)
            extractor = transformers.AutoFeatureExtractor.from_pretrained(path)
            encoder = load(EncoderSource(path, dtype=dtype, device=device))
            for batch_size in batches:
                by_raypipe(encoder, clips, batch_size)
                plain_loop(model, extractor, clips, batch_size)
                plain, own, far = [], [], 0.0
                for _ in range(repeats):
                    spent, expected = seconds(plain_loop, model, extractor, clips, batch_size)
                    plain.append(clip_count / spent)
                    spent, found = seconds(by_raypipe, encoder, clips, batch_size)
                    own.append(clip_count / spent)
                    far = max(
                        float(np.abs(a - b).max()) for a, b in zip(expected, found, strict=True)
                    )
                rows.append(
                    {
                        "front_end": f"{norm} norm",
                        "batch": batch_size,
                        "dtype": dtype,
                        f"plain_clips_per_{unit}": round(statistics.median(plain), 3),
                        f"raypipe_clips_per_{unit}": round(statistics.median(own), 3),
                        "largest_difference": far,
                    }
                )
                print(json.dumps(rows[-1]), flush=True)
    return rows


def frame_level_epoch(frames: Sequence[torch.Tensor], soft: np.ndarray) -> None:
    """One epoch of SUPERB's head on cached float32 frames, batches of 32, AdamW."""
    head = FrameLevelHead(frames[0].shape[0], frames[0].shape[2], soft.shape[1])
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-4)
    weights = torch.tensor(class_weights(soft), dtype=torch.float32)
    targets = torch.tensor(soft, dtype=torch.float32)
    for at in range(0, len(frames), 32):
        loss = balanced_cross_entropy(head(frames[at : at + 32]), targets[at : at + 32], weights)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimizer.step()


def training(clip_count: int, repeats: int) -> dict[str, object]:
    """CPU seconds of an epoch; that on means includes the dev loss, and is the mean of several."""
    layers, width, labels, epochs = 13, 768, 8, 10
    frames = made_up_frames(clip_count, layers, width, (50, 499))
    soft = np.random.default_rng(1).dirichlet(np.full(labels, 0.5), clip_count)
    means = np.stack([clip.mean(1).numpy() for clip in frames])
    examples = Examples(means, soft)
    settings = HeadTraining(epochs=epochs)
    few = Examples(means[:32], soft[:32])
    on_frames, on_means = [], []
    for _ in range(repeats):
        on_frames.append(cpu_seconds(frame_level_epoch, frames, soft)[0])
        spent = cpu_seconds(train_head, examples, few, settings, 0)[0]
        on_means.append(spent / epochs)
    first, second = statistics.median(on_frames), statistics.median(on_means)
    row: dict[str, object] = {
        "clips": clip_count,
        "frame_level_cpu_s_per_epoch": round(first, 3),
        "layer_mean_cpu_s_per_epoch": round(second, 5),
        "times_faster": round(first / second, 1),
    }
    print(json.dumps(row), flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="base")
    parser.add_argument("--clips", type=int, default=48)
    parser.add_argument("--head-clips", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--norms", nargs="+", choices=NORMS, default=list(NORMS))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.backends.cudnn.allow_tf32 = False  # where float32 is compared, it is float32
    measured = {
        "training": training(arguments.head_clips, arguments.repeats),
        "extraction": extraction(
            arguments.shape,
            arguments.clips,
            arguments.repeats,
            arguments.device,
            arguments.dtype,
            arguments.batches,
            arguments.norms,
        ),
    }
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(measured, indent=2))


if __name__ == "__main__":
    main()
