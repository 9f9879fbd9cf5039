"""Large random checkpoints, and the host memory that a process needs to load one.

``python measured_loading.py CHECKPOINT DTYPE WARM-UP DEVICE`` prints a JSON object; the warm-up is
a small checkpoint of the same architecture, whose loading brings in all code before it counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import torch
import transformers

SMALL = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
    "vocab_size": 100,
}


def save_large(folder: Path, shard_size: str, **shape: int) -> None:
    """A Qwen2 of random bfloat16 weights in several files; ``shape`` as in its config."""
    config = transformers.Qwen2Config(
        **{**SMALL, **shape}, architectures=["Qwen2ForCausalLM"], dtype="bfloat16", eos_token_id=1
    )
    with torch.device("meta"):
        model = transformers.Qwen2ForCausalLM(config).to(torch.bfloat16)
    model = model.to_empty(device="cpu")
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.02, 0.02)
    model.save_pretrained(folder, max_shard_size=shard_size)


def measured(checkpoint: Path, dtype: str, warm_up: Path, device: str = "cpu") -> dict[str, float]:
    """What a process of its own says about loading a checkpoint."""
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, __file__, str(checkpoint), dtype, str(warm_up), device],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


def _measure(checkpoint: Path, dtype: str, warm_up: Path, device: str) -> dict[str, float]:
    from raypipe.engines.families import FAMILIES
    from raypipe.engines.model_loading import load_model
    from raypipe.engines.weight_files import weight_files

    torch.set_num_threads(1)
    (architecture,) = transformers.AutoConfig.from_pretrained(checkpoint).architectures
    (family,) = (each for each in FAMILIES if each.architecture == architecture)
    origin = {"revision": None, "trust_remote_code": False}

    def load(path: Path):
        return load_model(family, str(path), origin, getattr(torch, dtype), device)

    load(warm_up)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, clock = _status("VmRSS"), time.monotonic()
    model = load(checkpoint)
    seconds = time.monotonic() - clock
    sizes = [file.stat().st_size for file in weight_files(checkpoint)]
    weights = sum(one.numel() * one.element_size() for one in model.parameters())
    return {
        "peak": _status("VmHWM") - before,
        "weights": weights,
        "files": sum(sizes),
        "largest_file": max(sizes),
        "seconds": seconds,
    }


if __name__ == "__main__":
    print(
        json.dumps(_measure(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), device=sys.argv[4]))
    )
