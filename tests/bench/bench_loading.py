"""Host memory and seconds of loading a checkpoint in several files, on a CPU or a GPU.

``python tests/bench/bench_loading.py``: 1.5 GB of random bfloat16 weights, loaded on the CPU in
the arithmetic of the files and in float32; the bound is the weights and two files.

``python tests/bench/bench_loading.py --device cuda --keep FOLDER``: a Qwen2-Audio of 7B shape,
18 GB in bfloat16, made on the GPU, written to ``FOLDER`` and loaded; the bound is two files. The
folder is a checkpoint that ``raypipe doctor --try`` and ``raypipe run`` take.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "engines"))
sys.path.insert(0, str(Path(__file__).parent))

from bench_engine import SHAPES
from measured_loading import measured, save_large
from random_checkpoint import Shape, save_sharded

SHAPE = {
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "num_hidden_layers": 10,
    "vocab_size": 20_000,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--keep", type=Path, help="folder for the checkpoint; default: none")
    settings = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        large, small = settings.keep or Path(place, "large"), Path(place, "small")
        if settings.device == "cuda":
            save_sharded(large, SHAPES["7b"], "cuda", "5GB")
            save_sharded(small, Shape(), "cuda", "5GB")
            torch.cuda.empty_cache()
            report(large, "bfloat16", small, settings.device)
            return
        save_large(large, "200MB", **SHAPE)
        save_large(small, "1GB")
        for dtype in ("bfloat16", "float32"):
            report(large, dtype, small, settings.device)


def report(checkpoint: Path, dtype: str, warm_up: Path, device: str) -> None:
    """Print what loading took; on a GPU the host has no room for the weights themselves."""
    seen = measured(checkpoint, dtype, warm_up, device)
    megabytes = {name: value / 1e6 for name, value in seen.items()}
    bound = 2 * megabytes["largest_file"] + (megabytes["weights"] if device == "cpu" else 0)
    print(
        f"{device} {dtype}: files {megabytes['files']:.0f} MB, "
        f"largest {megabytes['largest_file']:.0f} MB, weights {megabytes['weights']:.0f} MB; "
        f"host memory {megabytes['peak']:.0f} MB of at most {bound:.0f} MB, "
        f"{seen['seconds']:.1f} s"
    )


if __name__ == "__main__":
    main()
