"""Host memory and seconds of loading a checkpoint of about 1.5 GB in several files.

``python tests/bench/bench_loading.py``: random bfloat16 weights, loaded on the CPU in the
arithmetic of the files and in float32; the bound is the weights and two files.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "engines"))

from measured_loading import measured, save_large

SHAPE = {
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "num_hidden_layers": 10,
    "vocab_size": 20_000,
}


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        large, small = Path(place, "large"), Path(place, "small")
        save_large(large, "200MB", **SHAPE)
        save_large(small, "1GB")
        for dtype in ("bfloat16", "float32"):
            told = {name: value / 1e6 for name, value in measured(large, dtype, small).items()}
            bound = told["weights"] + 2 * told["largest_file"]
            print(
                f"{dtype}: files {told['files']:.0f} MB, largest {told['largest_file']:.0f} MB, "
                f"weights {told['weights']:.0f} MB; host memory {told['peak']:.0f} MB "
                f"of at most {bound:.0f} MB, {told['seconds'] * 1e6:.1f} s"
            )


if __name__ == "__main__":
    main()
